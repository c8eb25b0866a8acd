"""Gate: the lines of real pages are found without training, about as well as a trained segmenter finds them."""

from pathlib import Path

import pytest

from evaluation.tests.found_lines import found_lines
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.layout.find_lines import find_lines
from text_recognizer.tests.conftest import shared_data

LOWEST_F1 = 0.80


def test_lines_of_real_wills_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path))
    dataset = PageListDataset(str(shared_data("testaments") / "pages.json"), writer_pattern=r"^\w+?_\d+", side=32)
    dataset.prepare()
    found = found_lines(dataset.split("test"), find_lines)
    assert sum(page.annotated for page in found.pages) == 399
    assert found.f1 >= LOWEST_F1, found
