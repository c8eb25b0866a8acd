"""Cores: the middle halves of lines, which never touch each other; drawn for training, and converted back to lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.layout.ink import Grey, Mask, ink_of, upright_strokes
from text_recognizer.layout.shapes import Floats, LineShape, feet

CORE_CLASSES = ("background", "line", "line core")
DRAWN = 0.5  # a core's share of its line's height, and how much of that is cut off at both of its ends
# Detected cores are smaller; the values were chosen on validation pages.
CONFIDENT = 0.6  # minimum probability of a core's pixel
FOUND = 0.45  # a detected core's share of its line's height
_SMOOTH = 2.0  # heights of the line over which the edges of its outline are averaged
_SMALLEST_PX, _SHORTEST = 3, 2.0  # minimum height of a core in pixels; minimum width in heights of the core
_LARGEST_GAP, _MOST_STEP = 2.0, 0.5  # between two pieces of one core, in heights of a line


@dataclass(frozen=True)
class Course:
    """A line by columns (k,): its first and last rows."""

    columns: NDArray[np.int64]
    top: Floats
    bottom: Floats

    @property
    def height(self) -> float:
        return float(np.median(self.bottom - self.top))

    @property
    def box(self) -> tuple[float, float, float, float]:
        return float(self.columns[0]), float(self.top.min()), float(self.columns[-1] + 1), float(self.bottom.max())


def core_map(outlines: Sequence[NDArray[np.floating[Any]]], side: int) -> NDArray[np.uint8]:
    """(side, side) the class of every pixel, as in CORE_CLASSES, from the outlines (corners, 2) of lines."""
    label = np.zeros((side, side), np.uint8)
    nearest = np.full((side, side), np.inf, np.float32)  # distance of each pixel to the nearest line's middle
    owner = np.zeros((side, side), np.int32)
    courses = [course for outline in outlines if (course := _course_of(outline, side)) is not None]
    for number, one in enumerate(courses, start=1):
        middle, half = (one.top + one.bottom) / 2, np.maximum((one.bottom - one.top) / 2, 0.5)
        rows = slice(max(0, int(one.top.min())), min(side, int(np.ceil(one.bottom.max())) + 1))
        away = np.abs(np.arange(rows.start, rows.stop)[:, None] + 0.5 - middle) / half
        block = (rows, slice(int(one.columns[0]), int(one.columns[-1]) + 1))
        label[block] = np.maximum(label[block], away <= 1)
        nearer = away < nearest[block]
        nearest[block][nearer] = away[nearer]
        owner[block][nearer] = number
    for number, one in enumerate(courses, start=1):
        cut = round(DRAWN * one.height / 2)
        left, right = int(one.columns[0]) + cut, int(one.columns[-1]) + 1 - cut
        inside = (owner[:, left:right] == number) & (nearest[:, left:right] <= DRAWN)
        label[:, left:right][inside] = 2
    # Where cores of two lines meet, the seam belongs to neither.
    seam = (owner[1:] != owner[:-1]) & (label[1:] == 2) & (label[:-1] == 2)
    label[1:][seam] = label[:-1][seam] = 1
    return label


def lines_of(cores: NDArray[np.bool_], share: float = DRAWN) -> list[Course]:
    """The lines of cores in a map (H, W); `share`: a core's share of its line's height."""
    from scipy import ndimage

    parts, _ = ndimage.label(cores, np.ones((3, 3)))
    pieces = [
        _piece(parts[place] == number, place)
        for number, place in enumerate(ndimage.find_objects(parts), start=1)
        if place[0].stop - place[0].start >= _SMALLEST_PX
    ]
    lines = [_grown(piece, share) for piece in _joined(pieces, share)]
    return [line for line in lines if len(line.columns) >= _SHORTEST * line.height]


def shapes_of(lines: Sequence[Course], page: Grey) -> list[LineShape]:
    """Lines of a page (H, W), dark on light, with baselines from the ink; lines without ink are left out."""
    ink, width = ink_of(page)
    strokes = upright_strokes(ink, width)
    shapes = (_shape(line, strokes) for line in lines)
    return [shape for shape in shapes if shape is not None]


def _shape(line: Course, strokes: Mask) -> LineShape | None:
    inside = (line.columns >= 0) & (line.columns < strokes.shape[1])
    columns, top, bottom = line.columns[inside], line.top[inside], line.bottom[inside]
    rows = np.arange(len(strokes))[:, None]
    found, places = np.nonzero(strokes[:, columns] & (rows >= top) & (rows < bottom))
    if not len(found):
        return None
    middle = (top + bottom) / 2
    knots = np.linspace(0, len(columns) - 1, max(2, round(len(columns) / line.height) + 1))
    at = np.rint(knots).astype(int)
    standing = feet(places, found - middle[places], knots, line.height)
    return LineShape(line.box, columns[at].astype(float), middle[at] + standing, top[at], bottom[at])


def _course_of(outline: NDArray[np.floating[Any]], side: int) -> Course | None:
    """The smoothed edges of an outline."""
    from PIL import Image, ImageDraw
    from scipy import ndimage

    drawn = Image.new("1", (side, side))
    ImageDraw.Draw(drawn).polygon([(x, y) for x, y in outline.tolist()], fill=1)
    mask = np.asarray(drawn)
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return None
    columns = np.arange(columns[0], columns[-1] + 1)
    shown = mask[:, columns]
    top, bottom = shown.argmax(axis=0).astype(float), side - shown[::-1].argmax(axis=0).astype(float)
    size = max(1, int(_SMOOTH * np.median(bottom - top)))
    return Course(columns, *(ndimage.uniform_filter1d(edge, size, mode="nearest") for edge in (top, bottom)))


def _piece(mask: NDArray[np.bool_], place: tuple[slice, slice]) -> Course:
    top = place[0].start + mask.argmax(axis=0).astype(float)
    bottom = place[0].stop - mask[::-1].argmax(axis=0).astype(float)
    return Course(np.arange(place[1].start, place[1].stop), top, bottom)


def _joined(pieces: list[Course], share: float) -> list[Course]:
    """Joins pieces that continue each other."""
    lines: list[Course] = []
    for piece in sorted(pieces, key=lambda piece: int(piece.columns[0])):
        before = [line for line in lines if _goes_on(line, piece, share)]
        if before:
            last = max(before, key=lambda line: int(line.columns[-1]))
            lines = [line for line in lines if line is not last]
            columns = np.arange(last.columns[0], piece.columns[-1] + 1)
            known = np.concatenate([last.columns, piece.columns])
            edges = (np.concatenate([getattr(one, edge) for one in (last, piece)]) for edge in ("top", "bottom"))
            piece = Course(columns, *(np.interp(columns, known, edge) for edge in edges))
        lines.append(piece)
    return lines


def _goes_on(line: Course, piece: Course, share: float) -> bool:
    height = max(line.height, piece.height) / share
    gap = (int(piece.columns[0]) - int(line.columns[-1])) / height
    middles = [(one.top[end] + one.bottom[end]) / 2 for one, end in ((line, -1), (piece, 0))]
    return 0 < gap <= _LARGEST_GAP and abs(middles[0] - middles[1]) <= _MOST_STEP * height


def _grown(core: Course, share: float) -> Course:
    from scipy import ndimage

    size = max(1, int(_SMOOTH * core.height))
    middle, half = (core.top + core.bottom) / 2, (core.bottom - core.top) / 2
    middle, half = (ndimage.uniform_filter1d(one, size, mode="nearest") for one in (middle, half / share))
    cut = round(core.height / 2)
    columns = np.arange(core.columns[0] - cut, core.columns[-1] + cut + 1)
    middle, half = (np.pad(one, cut, mode="edge") for one in (middle, half))
    return Course(columns, middle - half, middle + half)
