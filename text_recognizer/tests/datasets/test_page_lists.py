"""Lists of pages: outlines that leave their image, numbers that are none, entries that are no pages."""

import json

import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.archive_pages import LINES, page_image
from text_recognizer.tests.datasets.line_files import save


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def line(*box, text="x"):
    return dict(zip(("x1", "y1", "x2", "y2"), box, strict=True), text=text)


def prepared(folder, pages, **args):
    """With three good pages, so that there is one for each split; all are 200 x 120 pixels."""
    good = {f"good{index}": {"lines": [line(*box, text=text) for box, text in LINES]} for index in range(3)}
    for index, name in enumerate(good | pages):
        if len(name) < 99:
            save(folder / "pages" / f"{name}.png", page_image(index))
    (folder / "pages.json").write_text(json.dumps(good | pages))
    dataset = PageListDataset(str(folder / "pages.json"), **({"side": 64} | args))
    dataset.prepare()
    return dataset


def reasons(dataset):
    return {one.name: one.reason for one in dataset.rejected}


def found(dataset, name):
    """The split that has a page, and its place there."""
    splits = map(dataset.split, SPLIT_NAMES)
    return next((split, split.ids.index(name)) for split in splits if name in split.ids)


def test_a_list_of_pages_is_read_and_entries_that_are_none_are_rejected(tmp_path):
    lines = [dict(zip(("x1", "y1", "x2", "y2"), box, strict=True), text=text) for box, text in LINES]
    pages = {f"w{index}-p": {"width": 200, "height": 120, "lines": lines} for index in range(4)}
    for index, name in enumerate(pages):
        save(tmp_path / "pages" / f"{name}.png", page_image(index))
    pages["w9-bad"] = {"lines": [{"x1": 3}]}
    pages["cover"] = {"lines": lines}
    (tmp_path / "pages.json").write_text(json.dumps(pages))
    dataset = PageListDataset(str(tmp_path / "pages.json"), writer_pattern=r"^w\d")
    dataset.prepare()
    assert dataset.sizes() == {"train": 2, "validation": 1, "test": 1}
    assert [one.name for one in dataset.rejected] == ["w9-bad", "cover"]
    assert "finds no writer in its name" in reasons(dataset)["cover"]
    assert dataset.split("train").groups == [name[:2] for name in dataset.split("train").ids]


def test_a_folder_that_was_moved_has_the_same_content(tmp_path):
    there = prepared(tmp_path / "there", {}).fingerprint
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    moved = PageListDataset(str(tmp_path / "elsewhere" / "pages.json"), side=64)
    moved.prepare()
    assert moved.fingerprint == there


def test_lines_outside_of_their_image_are_rejected_and_those_half_outside_cut(tmp_path):
    lines = [line(300, 10, 400, 30), line(10, 10, 2_000_000, 30, text="far"), line(-50, 40, 100, 60, text="left")]
    dataset = prepared(tmp_path, {"p": {"lines": lines}}, side=100, margin=0, preprocessing=())
    assert reasons(dataset) == {"p#1": "its outline lies outside the image; its page is kept"}
    split, place = found(dataset, "p")
    assert split.line_texts(place) == ["far", "left"]
    # 200 pixels across are 100; the lines reach from 10 to 60 down, so the square begins at -65.
    assert split.line_boxes(place).tolist() == [[5, 37.5, 100, 47.5], [0, 52.5, 50, 62.5]]
    label = split.batch(np.array([place]))["label"][0]
    assert (label[54:61, 1:49] == 2).all()
    assert (label[:, 51:][label[:, 51:] > 0] == 1).all()


def test_a_page_none_of_whose_lines_is_on_its_image_is_no_blank_page(tmp_path):
    pages = {"p": {"lines": [line(400, 10, 900, 30), line(10, 10, 10, 30)]}, "blank": {"lines": []}}
    dataset = prepared(tmp_path, pages)
    expected = "none of its lines can be used: its outline lies outside the image or its outline has no area"
    assert reasons(dataset) == {"p": expected}
    assert "blank" in [name for split in SPLIT_NAMES for name in dataset.split(split).ids]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_coordinate_that_is_no_finite_number_costs_its_line(tmp_path, number):
    pages = {"p": {"lines": [line(10, 10, 110, 30), line(10, 40, 77777, 60)]}}
    dataset = prepared(tmp_path, pages)
    path = tmp_path / "pages.json"
    path.write_text(path.read_text().replace("77777", number))
    dataset = PageListDataset(str(path), side=64)
    dataset.prepare()
    assert reasons(dataset) == {
        "p#2": "its outline has a coordinate that is not a finite number; its page is kept",
    }


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"width": float("nan"), "height": 120}, "its file gives the page an impossible size: nan x 120.0"),
        ({"width": float("inf"), "height": float("inf")}, "its file gives the page an impossible size: inf x inf"),
        ({"width": -200, "height": -120}, "its file gives the page an impossible size: -200.0 x -120.0"),
        ({"width": 10**400}, "its entry is not like that of a page with lines: OverflowError"),
    ],
)
def test_a_page_without_a_possible_size_is_rejected_by_name(tmp_path, size, expected):
    dataset = prepared(tmp_path, {"p": {"lines": [line(10, 10, 110, 30)], **size}})
    assert reasons(dataset)["p"].startswith(expected)


def test_names_and_texts_that_no_file_can_hold_harm_only_their_page(tmp_path):
    pages = {"n" * 300: {"lines": []}, "p": {"lines": [line(10, 10, 110, 30, text="half \ud800")]}}
    dataset = prepared(tmp_path, pages)
    assert list(reasons(dataset)) == ["n" * 300]
    split, place = found(dataset, "p")
    assert split.line_texts(place) == ["half ?"]


def test_a_list_nested_without_end_is_no_list(tmp_path):
    (tmp_path / "pages.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is not JSON"):
        PageListDataset(str(tmp_path / "pages.json")).prepare()


def test_a_strip_whose_square_would_not_fit_into_memory_is_no_page(tmp_path):
    prepared(tmp_path, {"strip": {"lines": []}})
    save(tmp_path / "pages" / "strip.png", np.full((2, 20_000), 255, np.uint8))
    dataset = PageListDataset(str(tmp_path / "pages.json"), side=64)
    dataset.prepare()
    assert reasons(dataset) == {"strip": "its page is too long for its width: 20000 x 2 pixels"}


def test_pages_can_be_marked_with_the_cores_of_their_lines(tmp_path):
    dataset = prepared(tmp_path, {"p": {"lines": [line(20, 20, 180, 60)]}}, side=200, margin=0, marks="cores")
    assert dataset.data_spec.classes == ("background", "line", "line core")
    split, place = found(dataset, "p")
    label = split.batch(np.array([place]))["label"][0]
    left, top, right, bottom = split.line_boxes(place)[0]
    rows, columns = np.nonzero(label == 2)
    assert (top + bottom) / 2 == pytest.approx(rows.mean() + 0.5, abs=1)
    assert np.ptp(rows) + 1 == pytest.approx(0.5 * (bottom - top), abs=2)
    assert (columns.min() > left, columns.max() < right) == (True, True)
    assert "marks" not in prepared(tmp_path / "as before", {}).recipe  # stores of earlier versions stay valid
