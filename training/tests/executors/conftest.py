import pytest


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits_prepared):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("runs")
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(folder))
        yield folder
