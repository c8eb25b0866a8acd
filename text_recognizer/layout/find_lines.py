"""Finds the lines of text on a page, without training.

Upright strokes are blurred along the rows; a line is a ridge of the result. Ridges that continue each other are one
line, each stroke belongs to the nearest line, and a line ends where its strokes become rare.
"""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_form import with_dark_ink
from text_recognizer.layout.columns import in_reading_order
from text_recognizer.layout.ink import Grey, Mask, ink_of, line_height, upright_strokes
from text_recognizer.layout.ridges import find_ridges
from text_recognizer.layout.shapes import OF_A_NOTE, Floats, FoundLine, LineShape, evened, line_shapes, lone_words
from text_recognizer.layout.turning import angle_of_lines, turned, turned_back

_FIRST_PIXELS = 1_500_000  # size of the page image in which the size of the writing is measured
_MOST_PIXELS = 10_000_000
_HEIGHT_PX = 32  # height of a line in the analysed image
_FITTING_HEIGHTS_PX = (22, 50)
_SMALLEST_SIDE_PX = 8
_PADDING_PX = 64  # kept if nothing was found without padding
_AROUND, _AROUND_TALL = 0.3, 0.6  # margin in which a line's paper is measured, in typical and in its own heights
_LEAST_CONTRAST = 3.3  # of ink, in deviations of the paper's grain: noise has at most 2.5, 99 % of lines at least 5
# Notes are written smaller than the text of a page; their lines are too close to be separated at its scale.
_BESIDE_TEXT = (0.5, 0.3)  # heights of a text line, beside and above it, in which strokes belong to it
_NOTES_OVERLAP = 0.5  # of the longer of two lines
_NOTES_DISTANCES = (0.5, 1.4)  # between consecutive lines of a note, in heights of a line
_FEWEST_NEIGHBOURS = 2  # of a line of a note: with fewer, it is a remainder of loops and stamps


def find_lines(page: Grey, right_to_left: bool = False) -> list[FoundLine]:
    """The lines of a grey page (H, W) in reading order, the right column first if requested; may be empty."""
    shown, start = _without_padding(page)
    found = _lines_on(shown, start, page.shape, right_to_left)
    if not found and shown.shape != page.shape:  # a word that fills its image does not stand out
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
        return np.asarray(turned_back(points, angle, picture.shape, level.shape) / scale + start)

    ridges = find_ridges(strokes, height)
    found = line_shapes(strokes, ridges, height) or lone_words(strokes, ridges, height)
    found += _lines_of_notes(found, strokes, width, height)
    shapes = [shape for shape in found if _is_written(shape, level, ink, height)]
    return [shape.on_page(on_page, page_shape) for shape in in_reading_order(evened(shapes), right_to_left)]


def _strokes(page: Grey) -> tuple[Mask, Mask, float, float]:
    """All ink, its upright strokes, the width of a stroke, and the height of a line."""
    ink, width = ink_of(page)
    strokes = upright_strokes(ink, width)
    return ink, strokes, width, line_height(strokes, width)


def _lines_of_notes(text: list[LineShape], strokes: Mask, stroke_width: float, height: float) -> list[LineShape]:
    """Groups of at least three lines, one below the other, in the strokes outside the lines of the text.

    Args:
        text: the lines found so far; without these, there are no notes.
        height: height of one of them.
    """
    rest = strokes.copy()
    beside, above = (part * height for part in _BESIDE_TEXT)
    for line in text:
        left, top, right, bottom = line.box
        rows = slice(max(0, int(top - above)), int(bottom + above))
        rest[rows, max(0, int(left - beside)) : int(right + beside)] = False
    if not text or rest.sum() < height**2:
        return []
    lower = line_height(rest, stroke_width)
    if lower > height:
        return []
    lines = line_shapes(rest, find_ridges(rest, lower), lower, OF_A_NOTE)
    inner = [line for line in lines if sum(_are_next(line, one, lower) for one in lines) >= _FEWEST_NEIGHBOURS]
    return [line for line in lines if any(line is one or _are_next(line, one, lower) for one in inner)]


def _are_next(one: LineShape, other: LineShape, height: float) -> bool:
    (left, top, right, bottom), (left2, top2, right2, bottom2) = one.box, other.box
    overlap = min(right, right2) - max(left, left2)
    distance = abs(top + bottom - top2 - bottom2) / 2
    is_beside = overlap > _NOTES_OVERLAP * max(right - left, right2 - left2)
    return is_beside and _NOTES_DISTANCES[0] * height < distance < _NOTES_DISTANCES[1] * height


def _is_written(shape: LineShape, page: Grey, ink: Mask, height: float) -> bool:
    """Whether a line is darker than can be explained by the grain of its paper."""
    left, top, right, bottom = shape.box
    around = max(_AROUND * height, _AROUND_TALL * (bottom - top))  # so that no stroke fills half of a column
    rows = slice(max(0, int(top - around)), int(bottom + around))
    columns = slice(max(0, int(left)), int(right))
    levels, inked = page[rows, columns].astype(np.float64), ink[rows, columns]
    levels -= np.median(levels, axis=0)  # a shadow is not grain
    paper = levels[~inked]
    grain = 1.48 * np.median(np.abs(paper - np.median(paper)))  # the standard deviation, if normally distributed
    return bool(np.median(paper) - np.median(levels[inked]) > _LEAST_CONTRAST * max(1.0, grain))


def _better_scale(height: float, scale: float, shape: tuple[int, ...]) -> float:
    """The scale at which lines have the best height for analysis; the page is never enlarged."""
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
    """The page without uniform rows and columns at its sides, and its offset: column, row."""
    rows = np.flatnonzero((page != page[:, :1]).any(axis=1))
    columns = np.flatnonzero((page != page[:1]).any(axis=0))
    if not len(rows) or not len(columns):
        return page, np.zeros(2)
    top, left = (max(0, int(inked[0]) - kept_px) for inked in (rows, columns))
    return page[top : rows[-1] + 1 + kept_px, left : columns[-1] + 1 + kept_px], np.array([left, top], np.float64)
