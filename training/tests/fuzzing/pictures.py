"""Images, fonts, strokes of characters."""

import contextlib
import functools
import io
import json
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.datasets.drawing.fonts import Font
from text_recognizer.datasets.drawing.pen import even_lines, written
from text_recognizer.datasets.formats.font_cmap import characters_of_font
from text_recognizer.datasets.formats.stroke_files import read_strokes
from text_recognizer.errors import DataError
from text_recognizer.images.grey import read_grey
from text_recognizer.images.read import fit_to, read_image
from text_recognizer.tests.datasets.font_files import default_font, font_with, woff
from text_recognizer.tests.datasets.line_files import picture
from training.tests.fuzzing.base import Target, assembled, only
from training.tests.fuzzing.mutators import Files

_MODES = {"pnm": ("L", "RGB", "1"), "jpeg": ("L", "RGB", "CMYK"), "gif": ("L", "P"), "webp": ("L", "RGBA")}
_COMPRESSIONS = {"tiff": ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4")}


def picture_files(kind: str) -> list[Files]:
    """Grey, with a palette, coloured, transparent; as the format allows."""
    from PIL import Image

    grey = Image.fromarray(picture(40, 24))
    found = []
    for compression in _COMPRESSIONS.get(kind, (None,)):
        for mode in _MODES.get(kind, ("L", "RGB", "P", "1", "I;16")):
            file = io.BytesIO()
            with contextlib.suppress(OSError, ValueError):  # not every format has every mode
                grey.convert(mode).save(file, {"pnm": "ppm"}.get(kind, kind), compression=compression)
                found.append({f"image.{kind}": file.getvalue()})
    return found


def fonts() -> list[Files]:
    groups = struct.pack(">HHIII", 12, 0, 40, 0, 2) + struct.pack(">IIIIII", 65, 90, 1, 0x1F600, 0x1F640, 30)
    segments = struct.pack(">HHHHHHH", 4, 40, 0, 4, 0, 0, 0) + struct.pack(
        ">HHHHHHHHH", 90, 0xFFFF, 0, 65, 0xFFFF, 1, 1, 0, 0
    )
    plain = [font_with(12, groups), font_with(4, segments), default_font()]
    packed = [woff(default_font()), woff(default_font(), bytes), woff(font_with(12, groups * 100))]
    return [{"font.ttf": content} for content in plain] + [{"font.woff": content} for content in packed]


@functools.cache
def _digits() -> Any:
    return assembled().dataset


def _image(folder: Path) -> None:
    path = only(folder)
    with contextlib.suppress(DataError):
        read_grey(path)
    fit_to(read_image(path), _digits().data_spec)


def _font(folder: Path) -> None:
    path = only(folder)
    characters = characters_of_font(path)
    assert all(0 <= code <= 0x10FFFF for code in list(characters)[:1000])
    Font(str(path), 20).draw("Ab jÄ")


def _images() -> Iterator[Target]:
    for kind in ("png", "jpeg", "tiff", "bmp", "gif", "webp", "pnm"):
        yield Target(kind, partial(picture_files, kind), _image)


def strokes() -> list[Files]:
    medians: list[list[list[float]]] = [
        [[100, 500], [900, 600]],
        [[450, 850], [440, 100.5], [880, 60], [890, 260]],
        [[5, 5]],
    ]
    lines = [
        {"character": text, "strokes": ["M 0 0"], "medians": medians[number:]} for number, text in enumerate("七乙、")
    ]
    return [{"strokes.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode()}]


def _strokes(folder: Path) -> None:
    for found in read_strokes(only(folder)).values():
        assert written(even_lines(found), 16, np.random.default_rng(0)).shape == (16, 16)


TARGETS = (
    *_images(),
    Target("font", fonts, _font),
    Target("strokes", strokes, _strokes),
)
