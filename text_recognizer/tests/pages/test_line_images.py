"""Pictures of lines: height, polarity, blank ones, illumination, slant; images of every kind of file."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import LineForm, UnfitImageError, without_blank_rows, without_shadow
from text_recognizer.images.line_steps import deslant, even_illumination, stretch_contrast
from text_recognizer.models.calibration import Calibration
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.line import LinePredictor


def strokes(height=32, width=120, slant=0.0, paper=255, ink=0):
    """Upright bars, or bars that lean to the right by `slant` pixels a row."""
    image = np.full((height, width), paper, np.uint8)
    for row in range(4, height - 4):
        for left in range(30, width - 40, 12):
            start = round(left + slant * (height - row))
            image[row, start : start + 3] = ink
    return image


def test_a_line_keeps_its_aspect_ratio_at_its_new_height():
    line = LineForm(16, ink="dark").apply(strokes(32, 120))
    assert line.shape == (16, 60)
    assert line.dtype == np.uint8


def test_a_line_of_the_right_height_is_left_as_it_is():
    image = strokes()
    assert np.array_equal(LineForm(32, ink="dark").apply(image), image)
    assert np.array_equal(LineForm(32, ink="light").apply(image), 255 - image)


def test_polarity_is_found_by_what_is_rarer_and_can_be_said():
    light_on_dark = 255 - strokes()
    assert np.array_equal(LineForm(32, ink="dark").apply(light_on_dark), strokes())
    assert np.array_equal(LineForm(32, ink="dark", source_ink="dark").apply(light_on_dark), light_on_dark)
    assert np.array_equal(LineForm(32, ink="light", source_ink="light").apply(light_on_dark), light_on_dark)


def test_a_line_that_is_too_wide_is_made_smaller_and_centred_on_its_paper():
    line = LineForm(32, max_width=60, ink="light").apply(strokes(32, 120, paper=200))
    assert line.shape == (32, 60)
    assert (line[:8] == 55).all()
    assert (line[-8:] == 55).all()
    assert line[8:-8].max() > 200


@pytest.mark.parametrize("level", [0, 128, 250])
def test_a_picture_of_one_level_is_blank(level):
    image = np.full((32, 50), level, np.uint8)
    image[3, 4] = 255 - level  # a speck is no writing
    with pytest.raises(UnfitImageError, match="is blank"):
        LineForm(32).apply(image)


@pytest.mark.parametrize(("paper", "ink"), [(222, 90), (30, 220)])
def test_a_short_word_in_a_long_line_is_ink_on_its_paper(paper, ink):
    image = np.clip(np.random.default_rng(0).normal(paper, 2, (40, 1600)), 0, 255).astype(np.uint8)
    image[8:32, 10:40:10] = image[8:32, 11:41:10] = image[8:32, 12:42:10] = ink  # three strokes, a third of a per cent
    line = LineForm(40, ink="dark").apply(image)
    assert abs(float(np.median(line)) - max(paper, 255 - paper)) < 3
    assert (line[10:30, 11] < 128).all()


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(UnfitImageError, match="0 x 32 pixels"):
        LineForm(32).apply(np.zeros((32, 0), np.uint8))


def test_contrast_maps_paper_to_white_and_ink_to_black():
    stretched = stretch_contrast(strokes(paper=180, ink=60))
    assert set(np.unique(stretched)) == {0, 255}
    barely = strokes(paper=180, ink=178)
    assert np.array_equal(stretch_contrast(barely), barely)


def test_uneven_light_is_evened_out():
    light = np.linspace(0.4, 1.0, 240)[None]
    image = (strokes(32, 240) * light).astype(np.uint8)
    even = even_illumination(image)
    paper, ink = strokes(32, 240) == 255, strokes(32, 240) == 0
    assert image[paper].min() < 110
    assert even[paper].min() > 225
    assert even[ink].max() < 30


def test_leaning_strokes_are_set_upright():
    assert np.array_equal(deslant(strokes()), strokes())
    upright = deslant(strokes(slant=0.5))
    columns = (upright < 128).sum(axis=0)
    # Bars of 24 rows, each three columns wide: upright again, whole columns are ink.
    assert (columns >= 20).sum() >= 2 * len(range(30, 80, 12))
    assert ((strokes(slant=0.5) < 128).sum(axis=0) < 10).all()


def test_steps_are_taken_in_their_order_and_a_sheared_line_still_fits():
    form = LineForm(32, max_width=120, ink="dark", preprocessing=("illumination", "deslant", "contrast"))
    line = form.apply(strokes(slant=0.5, paper=170, ink=60))
    assert line.shape == (32, 120)
    assert line.max() == 255
    assert line.min() == 0


def test_a_predictor_makes_lines_of_the_form_that_the_dataset_has():
    data_spec = DataSpec((32, None, 1), ("", "a"), "line", "light", preprocessing=("contrast",))
    line = LineForm.of(data_spec).apply(strokes(64, 240, paper=180, ink=60))
    assert line.shape == (32, 120)
    assert line[:, :13].max() == 0
    assert line.max() == 255


def test_no_shadow_is_looked_for_in_a_picture_that_is_no_line(monkeypatch):
    monkeypatch.delattr("text_recognizer.images.line_form.levels_of")
    wide = np.zeros((1, 20_001), np.uint8)
    assert without_shadow(wide) is wide


def test_a_picture_that_is_no_line_is_refused_before_it_is_made_larger():
    with pytest.raises(UnfitImageError, match="20001 x 100 pixels large; a line is at most 200 times as wide as high"):
        LineForm(32).apply(np.tile(np.array([[0, 255]] * 100, np.uint8), 10_001)[:, :20_001])


def test_image_files_of_every_kind_are_read_as_grey(tmp_path):
    image = strokes()
    for name, picture in {
        "grey.png": Image.fromarray(image),
        "palette.gif": Image.fromarray(image).convert("P"),
        "bits.png": Image.fromarray(image).convert("1"),
        "deep.png": Image.fromarray(image.astype(np.uint16) * 257),
        "colour.bmp": Image.fromarray(image).convert("RGB"),
    }.items():
        picture.save(tmp_path / name)
        assert np.array_equal(read_grey(tmp_path / name), image), name
    (tmp_path / "deep.pgm").write_bytes(b"P5 120 32 65535\n" + (image.astype(">u2") * 257).tobytes())
    assert np.array_equal(read_grey(tmp_path / "deep.pgm"), image)


@pytest.mark.parametrize("levels", [np.float32, np.int32])
def test_levels_of_which_nothing_says_what_is_white_are_refused_and_not_read_as_a_blank_page(tmp_path, levels):
    Image.fromarray((strokes() / 255 * 3).astype(levels)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="its pixels have 32 bits, .* save it with 8 or 16"):
        read_grey(tmp_path / "a.tif")


def test_a_page_of_a_file_of_several_is_read_only_where_it_is_said_which(tmp_path):
    pages = [np.full((4, 6), level, np.uint8) for level in (10, 20)]
    first, second = map(Image.fromarray, pages)
    first.save(tmp_path / "two.tif", save_all=True, append_images=[second])
    with pytest.raises(DataError, match=r"holds 2 pages: .*two.tif. Save each page as a file of its own"):
        read_grey(tmp_path / "two.tif")
    for frame, page in enumerate(pages):
        assert np.array_equal(read_grey(tmp_path / "two.tif", frame), page)


def test_what_is_transparent_is_white(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[2:4, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert np.array_equal(read_grey(tmp_path / "a.png"), np.where(rgba[..., 3] == 255, 0, 255))


def test_a_photograph_that_was_taken_sideways_is_set_upright(tmp_path):
    image = strokes()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.rot90(image)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_grey(tmp_path / "a.png"), image)


def test_a_cut_jpeg_is_damaged(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with pytest.raises(DataError, match="the image cannot be read"):
        read_grey(tmp_path / "a.jpg")


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (210, 90), (10, 240)])
def test_blank_rows_above_and_below_the_writing_can_be_left_out(paper, ink):
    line = strokes(paper=paper, ink=ink)
    assert without_blank_rows(line) == []
    margins = np.pad(line, ((60, 20), (40, 40)), constant_values=paper)
    margins[3, 50] = ink  # a speck
    close, wider = without_blank_rows(margins)
    assert np.array_equal(close, margins[64:88])
    assert np.array_equal(wider, margins[59:93])
    assert without_blank_rows(margins, usual=0.25) == []  # 24 of 112 rows: where a quarter is usual, not few


def as_prepared(image, *readings, usual=1.0):
    """A line as a reader takes it that reads it so: whole, without its blank rows, with a few of them."""
    reader: Any = object.__new__(LinePredictor)
    reader.form = LineForm(16, ink="dark")
    reader._model = SimpleNamespace(
        calibration=Calibration(written_share=usual), predict=lambda lines: readings[: len(lines)]
    )
    return reader.prepared(image)


def test_of_a_line_with_and_without_its_blank_rows_the_surest_reading_that_has_characters_counts():
    line, margin = strokes(), ((60, 20), (40, 40))
    wide = np.pad(line, margin, constant_values=255)
    whole, cut = (LineForm(16, ink="dark").apply(one)[..., None] for one in (wide, wide[64:88]))
    assert np.array_equal(as_prepared(wide, Prediction("a", 0.3), Prediction("b", 0.9), Prediction("", 0.99)), cut)
    assert np.array_equal(as_prepared(wide, Prediction("a", 0.3), Prediction("", 0.9), Prediction("", 0.99)), whole)


def test_a_reader_of_an_earlier_version_reads_lines_as_they_are():
    wide = np.pad(strokes(), ((60, 20), (40, 40)), constant_values=255)
    whole = LineForm(16, ink="dark").apply(wide)[..., None]
    assert np.array_equal(as_prepared(wide, Prediction("a", 0.3), Prediction("b", 0.9), usual=None), whole)


def test_a_line_that_is_none_without_its_blank_rows_is_read_as_it_is():
    bar = np.full((60, 400), 255, np.uint8)
    bar[25:40] = 0  # alone it would be a blank picture
    low = np.full((30, 3000), 255, np.uint8)
    low[10:20, 5:-5:3] = 0  # alone it would be more than 200 times as wide as high
    for image in (bar, low):
        whole = LineForm(16, ink="dark").apply(image)[..., None]
        assert np.array_equal(as_prepared(image, Prediction("a", 0.3), Prediction("b", 0.2)), whole)


def test_a_shadow_on_the_paper_of_a_line_is_lightened_and_all_else_left():
    line = strokes(width=400)
    assert without_shadow(line) is line
    light_ink = 255 - line
    light_ink[:, 200:] //= 2  # no shadow, for there is no paper
    assert without_shadow(light_ink) is light_ink
    shaded = line.copy()
    shaded[:, 120:] = shaded[:, 120:] // 3  # over most of it
    form = LineForm(32, ink="dark", preprocessing=("contrast",))
    plain, evened = form.apply(line), form.apply(without_shadow(shaded))
    apart_from_the_edge = np.r_[0:112, 128:400]
    assert np.mean((plain < 128)[:, apart_from_the_edge] != (evened < 128)[:, apart_from_the_edge]) < 0.01
