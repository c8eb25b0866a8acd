"""What tests of several kinds of archives begin with."""

import pytest

from text_recognizer.tests.datasets.iam_files import write_iam


@pytest.fixture
def iam(tmp_path):
    return write_iam(tmp_path / "iam")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pages").mkdir()
    return tmp_path / "pages"
