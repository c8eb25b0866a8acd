"""The lines of text on a page, found without any training.

Upright strokes are smeared along the row; a line is a ridge of what comes out. Ridges that continue each other are one
line, each stroke belongs to the nearest line, and a line ends where its strokes get rare.
"""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.polarity import with_dark_ink
from text_recognizer.layout.columns import in_reading_order
from text_recognizer.layout.ink import Grey, Mask, ink_of, line_height, upright_strokes
from text_recognizer.layout.notes import lines_of_notes
from text_recognizer.layout.ridges import find_ridges
from text_recognizer.layout.shapes import Floats, FoundLine, LineShape, line_shapes
from text_recognizer.layout.turning import angle_of_lines, turned, turned_back

_FIRST_PIXELS = 1_500_000  # of the picture of a page in which the size of its writing is measured
_MOST_PIXELS = 10_000_000
_HEIGHT_PX = 32  # of a line in the picture that is looked at
_FITTING_HEIGHTS_PX = (22, 50)
_SMALLEST_SIDE_PX = 8
_PADDING_PX = 64  # kept where nothing was found without
_AROUND = 0.3  # heights of a line, above and below it, in which its paper is looked at
_LEAST_CONTRAST = 3.3  # of ink, in deviations of the paper's grain: noise has at most 2.5, 99 % of lines at least 5


def find_lines(page: Grey, right_to_left: bool = False) -> list[FoundLine]:
    """The lines of a grey page (H, W) in reading order, the right column first if asked; none where none is."""
    shown, start = _without_padding(page)
    found = _lines_on(shown, start, page.shape, right_to_left)
    if not found and shown.shape != page.shape:  # a word that fills its picture does not stand out
        return _lines_on(*_without_padding(page, _PADDING_PX), page.shape, right_to_left)
    return found


def _lines_on(shown: Grey, start: Floats, page_shape: tuple[int, ...], right_to_left: bool) -> list[FoundLine]:
    """The lines of the part of a page (H, W) that begins at `start`."""
    dark = with_dark_ink(shown) if min(shown.shape) >= _SMALLEST_SIDE_PX else None
    if dark is None:
        return []
    scale = min(1.0, math.sqrt(_FIRST_PIXELS / dark.size))
    ink, strokes, width, height = _strokes(_scaled(dark, scale))
    if (better := _better_scale(height, scale, dark.shape)) != scale:
        scale = better
        ink, strokes, width, height = _strokes(_scaled(dark, scale))
    picture = _scaled(dark, scale)
    angle = angle_of_lines(strokes, height)
    level = turned(picture, angle)
    if angle:
        ink, strokes, width, height = _strokes(level)

    def on_page(points: NDArray[np.float64]) -> NDArray[np.float64]:
        placed: NDArray[np.float64] = turned_back(points, angle, picture.shape, level.shape) / scale + start
        return placed

    found = line_shapes(strokes, find_ridges(strokes, height), height)
    found += lines_of_notes(found, strokes, width, height)
    shapes = [shape for shape in found if _is_written(shape, level, ink, height)]
    return [shape.on_page(on_page, page_shape) for shape in in_reading_order(shapes, right_to_left)]


def _strokes(page: Grey) -> tuple[Mask, Mask, float, float]:
    """All ink, its upright strokes, the width of a stroke, and the height of a line."""
    ink, width = ink_of(page)
    strokes = upright_strokes(ink, width)
    return ink, strokes, width, line_height(strokes, width)


def _is_written(shape: LineShape, page: Grey, ink: Mask, height: float) -> bool:
    """Whether a line is darker than the grain of its paper makes anything by chance."""
    left, top, right, bottom = shape.box
    rows = slice(max(0, int(top - _AROUND * height)), int(bottom + _AROUND * height))
    columns = slice(max(0, int(left)), int(right))
    levels, inked = page[rows, columns].astype(np.float64), ink[rows, columns]
    levels -= np.median(levels, axis=0)  # a shadow is no grain
    paper = levels[~inked]
    grain = 1.48 * np.median(np.abs(paper - np.median(paper)))  # as the deviation of a normal distribution
    return bool(np.median(paper) - np.median(levels[inked]) > _LEAST_CONTRAST * max(1.0, grain))


def _better_scale(height: float, scale: float, shape: tuple[int, ...]) -> float:
    """The scale at which lines have the height that is best to look at; the page is never enlarged."""
    lowest, highest = _FITTING_HEIGHTS_PX
    if lowest <= height <= highest:
        return scale
    wanted = scale * _HEIGHT_PX / height
    return min(wanted, 1.0, math.sqrt(_MOST_PIXELS / (shape[0] * shape[1])))


def _scaled(page: Grey, scale: float) -> Grey:
    if scale == 1:
        return page
    from PIL import Image

    height, width = page.shape
    size = (max(_SMALLEST_SIDE_PX, round(width * scale)), max(_SMALLEST_SIDE_PX, round(height * scale)))
    return np.asarray(Image.fromarray(page).resize(size, Image.Resampling.BOX))


def _without_padding(page: Grey, kept_px: int = 0) -> tuple[Grey, Floats]:
    """The page without rows and columns of one level at its sides, and where it begins: column, row."""
    rows = np.flatnonzero((page != page[:, :1]).any(axis=1))
    columns = np.flatnonzero((page != page[:1]).any(axis=0))
    if not len(rows) or not len(columns):
        return page, np.zeros(2)
    top, left = (max(0, int(inked[0]) - kept_px) for inked in (rows, columns))
    return page[top : rows[-1] + 1 + kept_px, left : columns[-1] + 1 + kept_px], np.array([left, top], np.float64)
