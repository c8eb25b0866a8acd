"""Samples of datasets as pictures: what is drawn where, in which colours."""

import numpy as np
import pytest

from text_recognizer.datasets import samples
from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.pages.iam_paragraphs import IamParagraphsDataset
from text_recognizer.datasets.samples import GREEN, RED, TINTS, draw_samples
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.iam_files import write_iam
from text_recognizer.tests.datasets.line_files import write_list


def colours(picture):
    return {tuple(pixel) for pixel in np.asarray(picture).reshape(-1, 3)}


def test_every_sample_is_drawn_dark_on_white_in_the_order_of_its_split(digits_prepared):
    dataset = DigitsDataset()
    split = dataset.split("train")
    drawn = np.asarray(draw_samples(dataset, count=len(split) // 100))
    first = int(np.sort(np.random.default_rng(0).permutation(len(split))[: len(split) // 100])[0])
    expected = np.invert(split.image(first)[..., 0]).repeat(7, axis=0).repeat(7, axis=1)
    assert np.array_equal(drawn[12 : 12 + 56, 12 : 12 + 56], np.stack([expected] * 3, axis=2))
    assert np.array_equal(np.asarray(draw_samples(dataset, count=10)), drawn)
    assert not np.array_equal(np.asarray(draw_samples(dataset, count=10, seed=1)), drawn)


def test_what_was_read_wrongly_is_red_and_only_what_was_read_is_drawn(digits_prepared):
    dataset = DigitsDataset()
    text = dataset.split("test").text(3)
    right, wrong = ({"position": 3, "predicted": read} for read in (text, "?"))
    assert RED not in colours(draw_samples(dataset, "test", predictions=[right]))
    drawn = draw_samples(dataset, "test", predictions=[wrong])
    assert RED in colours(drawn)
    assert drawn.width < 140  # one sample


@pytest.mark.parametrize("position", [3, 1000])
def test_what_was_read_of_data_that_has_changed_is_not_drawn(digits_prepared, position):
    row = {"position": position, "label": "no digit", "predicted": "1"}
    with pytest.raises(DataError, match="DigitsDataset no longer has the samples that were read"):
        draw_samples(DigitsDataset(), "test", predictions=[row])


@pytest.mark.parametrize("text", ["né", "月"])
def test_the_default_font_gives_way_to_one_that_has_the_characters_of_a_label(tmp_path, monkeypatch, text):
    fitting = samples._font_with(text, DEFAULT_FONT)
    if fitting == DEFAULT_FONT:
        pytest.skip("none of the usual fonts with these characters is installed")
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    write_list(tmp_path / "lines", [(f"{index}.png", text) for index in range(10)])
    dataset = LineListDataset(str(tmp_path / "lines"), height=8)
    drawn = draw_samples(dataset, count=1)
    assert drawn == draw_samples(dataset, count=1, font=fitting)
    monkeypatch.setattr(samples, "_usual_fonts", tuple)
    assert drawn != draw_samples(dataset, count=1)


def test_a_label_that_the_font_lacks_is_written_as_code_points(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_usual_fonts", tuple)
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    write_list(tmp_path / "lines", [(f"{index}.png", "月") for index in range(10)])
    dataset = LineListDataset(str(tmp_path / "lines"), height=8)
    dataset.prepare()
    assert draw_samples(dataset, count=1).width > 12 + 40 + 12
    with pytest.raises(DataError, match=r"nowhere\.ttf"):
        draw_samples(dataset, font="nowhere.ttf")


def test_an_empty_split_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    write_list(tmp_path / "lines", [("1.png", "a", "test"), ("2.png", "b", "valid")], "file\ttext\tsplit")
    with pytest.raises(DataError, match="the train split of LineListDataset is empty"):
        draw_samples(LineListDataset(str(tmp_path / "lines"), height=8))


def test_lines_of_pages_have_two_colours_and_found_boxes_are_green(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    dataset = IamParagraphsDataset(path=str(write_iam(tmp_path / "iam")), side=128, margin=20)
    dataset.prepare()
    assert {*map(tuple, TINTS.tolist())} <= colours(draw_samples(dataset))
    row = {"position": 0, "predicted": "1 line", "boxes": [[10, 20, 100, 40]]}
    drawn = np.asarray(draw_samples(dataset, "test", predictions=[row]))
    assert np.flatnonzero((drawn == GREEN).all(axis=2).any(axis=1)).tolist() == list(range(12 + 20, 12 + 40))


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"split": "valid"}, "split must be one of train, validation, test"), ({"count": 501}, "at most 500")],
)
def test_a_wrong_choice_of_samples_is_refused_before_anything_is_fetched(monkeypatch, options, expected):
    monkeypatch.setattr(DigitsDataset, "prepare", None)
    with pytest.raises(SpecError, match=expected):
        draw_samples(DigitsDataset(), **options)
