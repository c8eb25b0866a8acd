"""Characters written from their strokes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.characters.rendered import PEN, RenderedCharactersDataset
from text_recognizer.datasets.drawing.pen import even_lines, written
from text_recognizer.datasets.formats.stroke_files import read_strokes
from text_recognizer.errors import DataError

ONE = {"character": "一", "medians": [[[100, 400], [900, 410]]]}
SEVEN = {"character": "七", "medians": [[[100, 500], [900, 600]], [[450, 850], [440, 100], [880, 60], [890, 260]]]}


def stroke_file(folder: Path, *lines: Any) -> Path:
    path = folder / "strokes.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_strokes_are_read_from_the_top_left(tmp_path):
    strokes = read_strokes(stroke_file(tmp_path, {**ONE, "strokes": ["M 1 2"]}, "", SEVEN))
    assert list(strokes) == ["一", "七"]
    np.testing.assert_allclose(strokes["一"][0] * 1024, [[100, 500], [900, 490]])
    assert [len(points) for points in strokes["七"]] == [2, 4]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2: .*Each line is an object like"),
        ("[" * 100_000, "line 2"),
        ([ONE], "not an object with"),
        ({"character": "", "medians": [[[1, 2]]]}, "not an object with"),
        ({"character": "一", "medians": []}, "not an object with"),
        ({"character": "一", "medians": [[[1, 2], [3]]]}, "a stroke of '一' is not a list of 1 to 1,000 points"),
        ({"character": "一", "medians": [[]]}, "a stroke of '一' is not a list"),
        ({"character": "一", "medians": [{"x": 1}]}, "a stroke of '一' is not a list"),
        ({"character": "一", "medians": [[[1, 10**400]]]}, "a stroke of '一'"),
        ('{"character": "一", "medians": [[[1, NaN]]]}', "leaves its square"),
        ({"character": "一", "medians": [[[1, 9999]]]}, "leaves its square by more than 4,096 units"),
        ({"character": "一", "medians": [[[1, 2]]] * 101}, "101 strokes; at most 100"),
        (" " * (1 << 20) + "x", "more than 1,048,576 bytes"),
    ],
)
def test_a_line_that_has_no_strokes_is_named(line, why, tmp_path):
    with pytest.raises(DataError, match=why):
        read_strokes(stroke_file(tmp_path, SEVEN, line))


def test_a_file_that_is_missing_or_empty_is_named(tmp_path):
    with pytest.raises(DataError, match="no-such.jsonl: No such file"):
        read_strokes(tmp_path / "no-such.jsonl")
    with pytest.raises(DataError, match="has no strokes of any character"):
        read_strokes(stroke_file(tmp_path))


def test_points_are_spread_evenly_along_a_stroke():
    lines = even_lines([np.array([[0.0, 0], [1, 0], [1, 4]]), np.array([[2.0, 5]])])
    assert lines.shape == (2, 16, 2)
    np.testing.assert_allclose(lines[0, [0, 3, 6, 15]], [[0, 0], [1, 0], [1, 1], [1, 4]], atol=1e-9)
    np.testing.assert_allclose(lines[1], [[2, 5]] * 16)


def test_a_character_is_written_differently_each_time_and_as_large_as_fits(tmp_path):
    strokes = read_strokes(stroke_file(tmp_path, SEVEN))["七"]
    lines = even_lines(strokes)
    random = np.random.default_rng(0)
    pictures = [written(lines, 64, random) for _ in range(20)]
    assert len({picture.tobytes() for picture in pictures}) == 20
    for picture in pictures:
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        assert picture.shape == (64, 64)
        assert max(np.ptp(rows), np.ptp(columns)) >= 60
        assert min(rows[0], columns[0]) >= 0 < picture.max()
    assert np.array_equal(written(lines, 64, np.random.default_rng(0)), pictures[0])


def test_a_dot_of_one_point_is_written(tmp_path):
    dot = {"character": "、", "medians": [[[500, 500]]]}
    lines = even_lines(read_strokes(stroke_file(tmp_path, dot))["、"])
    assert written(lines, 32, np.random.default_rng(0)).max() == 255


def test_what_is_written_joins_the_fonts_in_training_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    strokes = stroke_file(tmp_path, {**ONE, "character": "a"}, {**SEVEN, "character": "b"}, SEVEN)
    drawn: dict[str, Any] = {"charset": ["a", "b", "c"], "test_fonts": ("default",), "validation_fonts": ("default",)}
    monkeypatch.setattr("text_recognizer.datasets.characters.rendered._paths", lambda fonts: tuple(fonts))
    plain = RenderedCharactersDataset(repetitions=2, side=16, **drawn)
    dataset = RenderedCharactersDataset(repetitions=2, side=16, strokes=str(strokes), written=5, **drawn)
    assert dataset.depends_on() != plain.depends_on() == RenderedCharactersDataset(repetitions=2, **drawn).depends_on()
    dataset.prepare()
    train = dataset.split("train")
    assert [PEN in name for name in train.ids].count(True) == 10
    assert PEN not in (dataset.split("test").groups or [])


def test_characters_without_a_font_can_have_strokes(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    dataset = RenderedCharactersDataset(
        charset=["一", "七"], strokes=str(stroke_file(tmp_path, ONE, SEVEN)), written=20, side=16
    )
    assert dataset.outlook() == "40 images to draw"
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 40


def test_fonts_and_strokes_that_are_missing_are_named_before_anything_is_drawn(tmp_path):
    for lacking in ({"fonts": (str(tmp_path / "no.ttf"),)}, {"strokes": str(tmp_path / "no.jsonl")}):
        with pytest.raises(DataError, match=r"no\.(ttf|jsonl): No such file"):
            RenderedCharactersDataset(charset=["a", "b"], **lacking).outlook()
