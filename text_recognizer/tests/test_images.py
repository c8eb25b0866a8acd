import io

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.images.read import fit_to, png_bytes, read_image

LIGHT = DataSpec((8, 8, 1), ("a",), ink="light")
NOISE = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
GREY = np.array([[0, 50], [100, 255]], dtype=np.uint8)


def as_file(image, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind)
    return buffer.getvalue()


def test_an_image_is_read_from_bytes_files_paths_and_arrays(tmp_path):
    (tmp_path / "a.png").write_bytes(as_file(GREY))
    for source in (as_file(GREY), io.BytesIO(as_file(GREY)), tmp_path / "a.png", str(tmp_path / "a.png"), GREY):
        assert read_image(source).tolist() == GREY.tolist()


def test_other_kinds_of_arrays_become_grey_bytes():
    assert read_image(GREY / np.float32(255)).tolist() == GREY.tolist()
    assert read_image(GREY[..., None]).tolist() == GREY.tolist()
    assert read_image(np.repeat(GREY[..., None], 3, axis=2)).tolist() == GREY.tolist()
    assert read_image(np.array([[True, False]])).tolist() == [[255, 0]]
    assert read_image(as_file(np.array([[65280, 256]], np.uint16))).tolist() == [[255, 1]]


def test_transparent_pixels_are_paper():
    rgba = np.zeros((1, 2, 4), dtype=np.uint8)
    rgba[0, 0] = (0, 0, 0, 255)
    assert read_image(rgba).tolist() == [[0, 255]]
    assert read_image(as_file(rgba)).tolist() == [[0, 255]]


def test_a_photograph_that_was_taken_sideways_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(GREY)).save(buffer, "PNG", exif=exif)
    assert read_image(buffer.getvalue()).tolist() == GREY.tolist()


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("nowhere.png", "there is no image file nowhere.png"),
        (b"text", "is not an image that can be read"),
        (as_file(NOISE)[:600], "cannot be read"),
        (np.zeros((2, 2), np.int64), "must be uint8 or floats"),
        (np.full((2, 2), 1.5), "values from 0 to 1"),
        (np.full((2, 2), np.nan), "values from 0 to 1"),
        (np.zeros((2, 2, 2), np.uint8), r"Received: shape \(2, 2, 2\)"),
        (np.zeros((0, 2), np.uint8), "Received: shape"),
        (np.zeros(3, np.uint8), "Received: shape"),
    ],
)
def test_what_is_no_image_is_named(source, part):
    with pytest.raises(DataError, match=part):
        read_image(source)


def test_ink_gets_the_polarity_of_the_dataset():
    dark_on_white = np.full((8, 8), 255, dtype=np.uint8)
    dark_on_white[2:6, 3:5] = 0
    light = fit_to(dark_on_white, LIGHT)[..., 0]
    assert light.tolist() == (255 - dark_on_white).tolist()
    assert fit_to(255 - dark_on_white, LIGHT)[..., 0].tolist() == light.tolist()
    dark = DataSpec((8, 8, 1), ("a",), ink="dark")
    assert fit_to(255 - dark_on_white, dark)[..., 0].tolist() == dark_on_white.tolist()


def test_a_larger_image_is_cropped_to_its_ink_centred_and_scaled_without_stretching():
    image = np.zeros((100, 200), dtype=np.uint8)
    image[20:80, 150:180] = 200  # 60 high, 30 wide: becomes 8 high, 4 wide
    fitted = fit_to(image, LIGHT)[..., 0]
    assert (fitted[:, 2:6] == 255).all()
    assert fitted[:, :2].max() == fitted[:, 6:].max() == 0
    with_margin = fit_to(image, DataSpec((8, 8, 1), ("a",), margin_px=2))[..., 0]
    assert (with_margin[2:6, 3:5] == 255).all()
    assert with_margin.sum() == 8 * 255


def test_a_blank_image_is_refused_by_its_name():
    with pytest.raises(DataError, match=r"page\.png is blank"):
        fit_to(np.full((30, 30), 200, dtype=np.uint8), LIGHT, "page.png")


def test_a_one_pixel_image_is_blank_not_a_crash():
    with pytest.raises(DataError, match="blank"):
        fit_to(np.zeros((1, 1), dtype=np.uint8), LIGHT)


def test_png_bytes_show_each_pixel_as_a_square():
    assert read_image(png_bytes(GREY, scale=2)).tolist() == np.kron(GREY, np.ones((2, 2), np.uint8)).tolist()
