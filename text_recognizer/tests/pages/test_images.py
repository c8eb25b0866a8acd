import ast
import io
import os
import re
import struct
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import CharacterForm
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import UnfitImageError
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
    assert read_image(as_file(np.array([[4096, 256]], np.uint16))).tolist() == [[16, 1]]
    for kind in ("TIFF", "PNG"):  # the levels of a scanner with 12 bits
        assert read_image(as_file(np.array([[4095, 256]], np.uint16), kind)).tolist() == [[255, 16]]


def test_of_a_tiff_file_in_lab_colours_the_lightness_is_read(tmp_path):
    Image.merge("LAB", [Image.fromarray(GREY), *2 * [Image.new("L", (2, 2), 9)]]).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").tolist() == GREY.tolist()


def test_transparent_pixels_are_paper():
    rgba = np.zeros((1, 2, 4), dtype=np.uint8)
    rgba[0, 0] = (0, 0, 0, 255)
    assert read_image(rgba).tolist() == [[0, 255]]
    assert read_image(as_file(rgba)).tolist() == [[0, 255]]


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize(("orientation", "upright"), [(3, NOISE[:20][::-1, ::-1]), (6, np.rot90(NOISE[:20], -1))])
def test_a_tiff_file_that_was_scanned_sideways_is_set_upright(tmp_path, compression, orientation, upright):
    tags = {0x0112: orientation}
    Image.fromarray(NOISE[:20]).save(tmp_path / "page.tif", tiffinfo=tags, compression=compression)
    assert read_image(tmp_path / "page.tif").tolist() == upright.tolist()


def test_a_photograph_that_was_taken_sideways_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(GREY)).save(buffer, "PNG", exif=exif)
    assert read_image(buffer.getvalue()).tolist() == GREY.tolist()


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("nowhere.png", "the image file is missing: nowhere.png"),
        (b"text", "the file is not an image that can be read"),
        (as_file(NOISE)[:600], "the image cannot be read"),
        (np.zeros((2, 2), np.int64), "must be uint8 or floats"),
        (np.full((2, 2), 1.5), "values from 0 to 1"),
        (np.full((2, 2), np.nan), "values from 0 to 1"),
        (np.zeros((2, 2, 2), np.uint8), r"Received: shape \(2, 2, 2\)"),
        (np.zeros((0, 2), np.uint8), "Received: shape"),
        (np.zeros(3, np.uint8), "Received: shape"),
        (None, "must be a path, bytes, an open binary file or an array .* Received: NoneType"),
        (Image.fromarray(GREY), r"numpy.asarray\(image.convert\('L'\)\)\). Received: Image"),
    ],
)
def test_what_is_no_image_is_named(source, part):
    with pytest.raises(DataError, match=part):
        read_image(source)


def test_a_picture_that_git_lfs_has_not_fetched_says_how_to_fetch_it(tmp_path):
    (tmp_path / "8.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(DataError, match=r"8\.png\. It is a pointer of Git LFS; `git lfs pull` fetches the file"):
        read_image(tmp_path / "8.png")


def test_a_pipe_that_brings_no_picture_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "8.png")
    writer = threading.Thread(target=(tmp_path / "8.png").write_bytes, args=[b"no picture"])
    writer.start()
    with pytest.raises(DataError, match=r"not an image that can be read .*8\.png\.$"):
        read_image(tmp_path / "8.png")
    writer.join()


def eps(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n")
    return path


def test_kinds_of_images_that_other_programs_or_rare_codecs_read_are_refused_by_their_content(tmp_path):
    paths = [eps(tmp_path / "a.png")]
    for kind in ("AVIF", "JPEG2000", "ICO", "TGA", "PCX"):
        paths.append(tmp_path / f"{kind}.png")
        Image.fromarray(np.full((32, 32), 9, np.uint8)).save(paths[-1], format=kind)
    for path in paths:
        for read in (read_image, read_grey):
            with pytest.raises(
                DataError, match=r"not an image that can be read \(PNG, JPEG, TIFF, BMP, GIF, WebP, PNM"
            ):
                read(path)


def test_portable_pixmaps_of_every_kind_are_read():
    assert read_image(b"P1 2 1 1 0").tolist() == [[0, 255]]
    assert read_image(b"P5 2 1 255\n\x07\x09").tolist() == [[7, 9]]
    assert read_image(b"P6 1 1 255\n\x07\x07\x07").tolist() == [[7]]


def test_pillow_opens_files_in_one_place_only():
    packages = Path(__file__).parents[3]
    found = [
        path.name
        for package in ("text_recognizer", "training", "evaluation")
        for path in (packages / package).rglob("*.py")
        if "tests" not in path.parts and re.search(r"\bImage\.open\(", ast.unparse(ast.parse(path.read_text("utf-8"))))
    ]
    assert found == ["grey.py"]


def png_header(width, height):
    """The beginning of a PNG, which holds no pixel."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    framed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize(
    ("width", "height", "part"),
    [(13_000, 13_000, "13,000 x 13,000 pixels"), (10_001, 12_000, "10,001 x 12,000"), (2**30, 2**30, "more than 120,")],
)
def test_an_image_of_too_many_pixels_is_refused_by_what_its_header_says(width, height, part):
    expected = f"the image is too large: {part}.* At most 120,000,000 can be read .*: make it smaller, or cut it"
    with pytest.raises(DataError, match=expected):
        read_image(png_header(width, height))
    with pytest.raises(DataError, match="the image cannot be read"):  # of an allowed size, but without pixels
        read_image(png_header(10_000, 10))


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded():
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    assert read_image(content).shape == NOISE.shape
    start = content.rindex(b"\xff\xda")
    endless = content[:start] + content[start:-2] * 101 + content[-2:]
    with pytest.raises(DataError, match="it has more than 100 scans"):
        read_image(endless)


def tiff_of_tiles(side):
    """A picture of 100 x 100 pixels in tiles of another size."""
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 200, 325: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries).ljust(200, b"\0") + zlib.compress(bytes(9))


def bmp_of_runs(width):
    """One row of which a single command leaves out 255 rows."""
    header = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 8, 1, 4, 0, 0, 256, 0) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 1082, 0, 0, 1078) + header + b"\0\2\0\xff"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff_of_tiles(40_000), "its tiles have 1,600,000,000 pixels each, the whole image 10,000"),
        (bmp_of_runs(100_000_000), "more than 1,000,000 pixels in plain text, odd levels or runs; save it as a PNG"),
        (b"P2 1000 1001 255\n" + b"1 " * 9, "more than 1,000,000 pixels in plain text, odd levels or runs"),
        (b"P5 1000 1001 100\n" + b"1" * 9, "more than 1,000,000 pixels in plain text, odd levels or runs"),
        (b"P2 9 9 255\n" + b"#\n" * 1001, "it has more than 1,000 comments"),
    ],
)
def test_a_few_bytes_cost_no_minutes_and_no_gigabytes(content, expected):
    with pytest.raises(DataError, match=expected):
        read_image(content)


@pytest.mark.parametrize("error", [NotImplementedError, RuntimeError, SyntaxError, KeyError, struct.error, MemoryError])
def test_whatever_a_codec_raises_becomes_a_sentence(monkeypatch, error):
    def load(_):
        raise error("codec")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(DataError, match="the image cannot be read: .*codec"):
        read_image(as_file(GREY))


def test_a_damaged_webp_is_a_sentence():
    content = as_file(NOISE, "WEBP")
    for damaged in (content[:40], content[:200], content[:16] + bytes(20) + content[36:]):
        with pytest.raises(DataError, match="the image"):
            read_image(damaged)


def test_a_page_in_colour_is_made_grey_strip_by_strip(monkeypatch):
    monkeypatch.setattr("text_recognizer.images.grey._STRIP_PIXELS", 3 * 40)
    rgba = np.random.default_rng(1).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    in_strips = read_image(as_file(rgba))
    monkeypatch.undo()
    assert np.array_equal(in_strips, read_image(as_file(rgba)))


def test_a_huge_picture_of_a_character_is_made_smaller_before_it_is_measured():
    image = np.full((4000, 3000), 255, np.uint8)
    image[500:3500, 500:2000] = 0  # twice as high as wide
    fitted = fit_to(image, LIGHT)[..., 0]
    assert fitted[:, 2:6].min() > 200
    assert fitted[:, :2].max() == fitted[:, 6:].max() == 0


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


def test_an_image_of_the_datasets_size_is_cut_where_the_dataset_cuts_its_own_unless_it_is_one_of_them():
    loose = np.full((16, 16), 255, np.uint8)
    loose[2:6, 3:5] = 90
    cut = DataSpec((16, 16, 1), ("a",), ink="dark", margin_px=1, cut=True)
    (own,) = CharacterForm(16, 1).apply_all([loose])
    assert not isinstance(own, UnfitImageError)
    assert np.abs(fit_to(loose, cut)[..., 0].astype(int) - own).max() <= 1
    own[1, 4:] = np.maximum(own[1, 4:], 200)  # the ends of strokes are faint
    assert fit_to(own, cut)[..., 0].tolist() == own.tolist()
    assert fit_to(loose, replace(cut, cut=False))[..., 0].tolist() == loose.tolist()


@pytest.mark.parametrize("side", [60, 12], ids=["enlarged", "made smaller"])
def test_strokes_that_scaling_makes_fainter_are_as_faint_as_the_datasets_own(side):
    picture = np.full((28, 28), 255, np.uint8)
    picture[[4, 23]] = picture[:, [4, 23]] = 15  # strokes of a pixel
    (own,) = CharacterForm(side, 2).apply_all([picture])
    assert not isinstance(own, UnfitImageError)
    assert own.min() > 5
    read = fit_to(picture, DataSpec((side, side, 1), ("a",), ink="dark", margin_px=2, cut=True))[..., 0]
    assert np.abs(read.astype(int) - own).max() <= 1


def test_a_blank_image_is_refused_by_its_name():
    with pytest.raises(DataError, match=r"page\.png is blank"):
        fit_to(np.full((30, 30), 200, dtype=np.uint8), LIGHT, "page.png")


def test_a_one_pixel_image_is_blank_not_a_crash():
    with pytest.raises(DataError, match="blank"):
        fit_to(np.zeros((1, 1), dtype=np.uint8), LIGHT)


def test_png_bytes_show_each_pixel_as_a_square():
    assert read_image(png_bytes(GREY, scale=2)).tolist() == np.kron(GREY, np.ones((2, 2), np.uint8)).tolist()
