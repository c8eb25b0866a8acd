"""Paragraphs of archives: pages of ALTO and PAGE XML with classes for their lines."""

import numpy as np
import pytest

from evaluation.tests.found_lines import original
from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.pages.alto_paragraphs import AltoParagraphsDataset
from text_recognizer.tests.datasets.archive_pages import LINES, alto, alto_line, page_image, polygon, write_page


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def test_paragraphs_show_lines_as_odd_and_even_classes(folder):
    for index in range(3):
        write_page(folder, f"p{index}", alto(image=""), seed=index)
    dataset = AltoParagraphsDataset(str(folder), side=100, margin=5, preprocessing=())
    dataset.prepare()
    assert dataset.sizes() == {"train": 1, "validation": 1, "test": 1}
    assert (dataset.data_spec.target, dataset.data_spec.input_shape) == ("pixels", (100, 100, 1))
    split = dataset.split("train")
    batch = split.batch(np.arange(1))
    assert batch["image"].shape == (1, 100, 100, 1)
    label = batch["label"][0]
    # The page is 200 wide, so two of its pixels are one; the lines reach from 10 to 150 across and 10 to 90 down:
    # the square begins at -20 across and at -50 down.
    for number, ((x1, y1, x2, y2), _) in enumerate(LINES, start=1):
        inside = label[(y1 + 50) // 2 + 1 : (y2 + 50) // 2 - 1, (x1 + 20) // 2 + 1 : (x2 + 20) // 2 - 1]
        assert (inside == (1 if number % 2 else 2)).all()
    assert label[:28].max() == 0
    assert set(np.unique(label)) == {0, 1, 2}
    assert split.line_texts(0) == [text for _, text in LINES]
    assert split.text(0) == "first line\nthe second\nthird"
    assert split.line_boxes(0)[2].tolist() == [20.0, 60.0, 55.0, 70.0]


def test_the_original_of_a_paragraph_is_there_for_reading_its_lines(folder):
    for index in range(3):
        write_page(folder, f"p{index}", alto(image=""), seed=index)
    dataset = AltoParagraphsDataset(str(folder), side=64)
    dataset.prepare()
    split = dataset.split("test")
    square, boxes = original(split, 0)
    x1, y1, x2, y2 = (round(float(value)) for value in boxes[1])
    seed = int(split.ids[0][1:])
    assert np.array_equal(square[y1:y2, x1:x2], page_image(seed)[40:60, 10:150])


def test_a_blank_page_is_an_example_without_lines(folder):
    for index in range(4):
        write_page(folder, f"p{index}", alto("" if index == 0 else None, ""), seed=index)
    dataset = AltoParagraphsDataset(str(folder), side=64)
    dataset.prepare()
    splits = {name: dataset.split(name) for name in SPLIT_NAMES}
    split, place = next((one, one.ids.index("p0")) for one in splits.values() if "p0" in one.ids)
    assert split.batch(np.array([place]))["label"].max() == 0
    assert split.line_boxes(place).shape == (0, 4)
    assert split.text(place) == ""
    assert dataset.rejected == []


def test_a_line_without_area_is_named_and_a_page_of_such_lines_is_no_blank_page(folder):
    flat = polygon("10 50 150 50 10 50")
    one_flat = [alto_line(index, *line, shape=flat if index == 1 else "") for index, line in enumerate(LINES)]
    all_flat = [alto_line(index, *line, shape=flat) for index, line in enumerate(LINES)]
    for index in range(5):
        lines = {1: "".join(one_flat), 2: "".join(all_flat)}.get(index)
        write_page(folder, f"p{index}", alto(lines, ""), seed=index)
    dataset = AltoParagraphsDataset(str(folder), side=64)
    dataset.prepare()
    assert [(one.name, one.reason, one.text) for one in dataset.rejected] == [
        ("p1#2", "its outline has no area; its page is kept", "the second"),
        ("p2", "none of its lines can be used: its outline has no area", ""),
    ]
    texts = [text for name in SPLIT_NAMES for text in dataset.split(name).texts]
    assert sorted(texts) == ["first line\nthe second\nthird"] * 3 + ["first line\nthird"]
