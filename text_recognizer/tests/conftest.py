"""Fixtures for all tests of the three packages; the other packages' conftest files import them."""

import os
from pathlib import Path

import hypothesis
import pytest

from text_recognizer.tests.garbage import collect_rarely

SHARED = Path(__file__).resolve().parents[3] / "shared"
# With these set, what is printed into a pipe is what a terminal, or one of another width, would show.
OF_THE_TERMINAL = ("COLUMNS", "LINES", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")

# How long an example takes says how busy the machine is. The same examples each time, unless new ones are looked for:
# what they find is a defect of the program, not of the change that is tested.
_patient = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("same", _patient, derandomize=True)
hypothesis.settings.register_profile("new", _patient)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


collect_rarely()


_private: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def private_folders(tmp_path_factory):
    """No test sees or changes the user's data, runs, locks or W&B settings."""
    if _private:  # each conftest that takes this fixture has one of its own, in the same process
        yield _private[0]
        return
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("private")
    _private.append(root)
    for name in os.environ.keys() - {"TEXT_RECOGNIZER_EXTRA"}:  # by which .venv was made
        if name.startswith(("WANDB_", "TEXT_RECOGNIZER_")) or name in OF_THE_TERMINAL:
            patch.delenv(name)
    for name in ("DATA", "RUNS", "LOCKS", "STATE", "MODELS"):
        patch.setenv(f"TEXT_RECOGNIZER_{name}", str(root / name.lower()))
    for name in ("NO_PROXY", "no_proxy"):  # where both are set, the second counts
        patch.setenv(name, ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"])))
    patch.setenv("WANDB_CONFIG_DIR", str(root / "wandb_config"))
    patch.setenv("WANDB_CACHE_DIR", str(root / "wandb_cache"))
    patch.setenv("WANDB_DATA_DIR", str(root / "wandb_data"))
    patch.setenv("WANDB_ERROR_REPORTING", "false")
    patch.setenv("NETRC", str(root / "netrc"))
    yield root
    patch.undo()


@pytest.fixture(autouse=True)
def no_trusted_code(monkeypatch):
    """What one test names as its own code is not trusted in the next."""
    monkeypatch.setenv("TEXT_RECOGNIZER_TRUST_CODE", "")


@pytest.fixture(scope="session")
def digits_prepared(private_folders):
    from text_recognizer.datasets.characters.digits import DigitsDataset

    with pytest.MonkeyPatch.context() as patch:  # the first test that asks may have its module's own folder of data
        patch.setenv("TEXT_RECOGNIZER_DATA", str(private_folders / "data"))
        DigitsDataset().prepare()


def shared_data(name: str) -> Path:
    """A folder of real handwriting beside the repository; the test skips where it is absent."""
    folder = SHARED / "data" / name
    if not folder.exists():
        pytest.skip(f"the real data {folder} is not on this machine")
    return folder
