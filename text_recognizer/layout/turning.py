"""Detects rotated pages: the angle of the lines, the page rotated upright, and the inverse mapping."""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.layout.ink import Grey, Mask

_STEP, _FINE_STEP = 3.0, 0.5  # degrees
_SMALLEST_ANGLE = 4.0  # lines that slope by less are found without rotation
_SMALLEST_OF_ONE = 10.0  # for a single line: the letters of a level word like "Philip" rise or fall by up to six
_LARGEST_SKEW = 14.0  # degrees, of a page that was scanned askew
_CLEARER = 1.5  # required clarity of rotated lines relative to level ones; on 22 pages, others had at most 0.74
_LONGEST_STROKE = 2.0  # heights of a line; longer strokes are the edge of a page or a rule
_LEAST_INK = 3.0  # squares of a line's height: a few words have no clear direction
_WIDEST_BAND, _SHORTEST_BAND, _OUTLIERS = 1.0, 3.0, 0.05  # heights of the only line; ratio of length to width
_MOST_POINTS = 20_000
_MOST_PAPER = 4.0  # times that of the page: a rotated long strip needs much more, and has no such lines
_BIN, _BLUR = 0.1, 0.25  # in heights of a line


def angle_of_lines(strokes: Mask, height: float) -> float:
    """The angle of the lines in degrees, rising from left to right, above -90 and up to 90; 0 if about level.

    Projected along the lines, strokes form ridges. This does not show whether a page is upside down.
    """
    from scipy import ndimage

    parts, _ = ndimage.label(strokes, np.ones((3, 3)))
    sides = [max(side.stop - side.start for side in found) for found in ndimage.find_objects(parts)]
    short = np.array([False, *(side < _LONGEST_STROKE * height for side in sides)])
    rows, columns = np.nonzero(short[parts])
    if (angle := _angle_of_a_band(rows, columns, height)) is not None:
        return _worth_turning(angle, strokes.shape, _SMALLEST_OF_ONE)
    if len(rows) < _LEAST_INK * height**2:
        return 0.0
    some = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_POINTS)).astype(int)
    points = np.stack([columns[some], rows[some]]) / (_BIN * height)

    def clearness(degrees: float) -> float:
        angle = np.radians(degrees)
        seen = np.array([np.sin(angle), np.cos(angle)]) @ points
        counts = np.bincount((seen - seen.min()).astype(int)).astype(np.float64)
        return float(np.maximum(-ndimage.gaussian_filter1d(counts, _BLUR / _BIN, order=2), 0).sum())

    best = max(np.arange(-87, 93, _STEP), key=clearness)
    best = max(np.arange(best - _STEP, best + _STEP, _FINE_STEP), key=clearness)
    others = [0.0] if abs(best) <= _LARGEST_SKEW else np.arange(-_LARGEST_SKEW, _LARGEST_SKEW + 1, 2.0)
    level = max(map(clearness, others))
    return _worth_turning(float(best), strokes.shape) if clearness(best) > _CLEARER * level else 0.0


def _angle_of_a_band(rows: NDArray[np.int64], columns: NDArray[np.int64], height: float) -> float | None:
    """The angle of the only line of a page in degrees; None if there is not exactly one."""
    if len(rows) < 2:
        return None
    points = np.stack([columns, -rows]).astype(np.float64)
    _, directions = np.linalg.eigh(np.cov(points))
    across, along = np.ptp(np.quantile(directions.T @ points, [_OUTLIERS, 1 - _OUTLIERS], axis=1), axis=0)
    if across > _WIDEST_BAND * height or along < _SHORTEST_BAND * across:
        return None
    angle = math.degrees(math.atan2(directions[1, 1], directions[0, 1]))
    return -((90 - angle) % 180 - 90)  # above -90, at most 90


def _worth_turning(angle: float, shape: tuple[int, ...], smallest: float = _SMALLEST_ANGLE) -> float:
    """The angle of lines on a page (H, W); 0 if it is small, or if the rotated page would be too large."""
    height, width = shape
    across, along = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    paper = (height * along + width * across) * (height * across + width * along)
    return angle if abs(angle) >= smallest and paper <= _MOST_PAPER * height * width else 0.0


def turned(page: Grey, degrees: float) -> Grey:
    """A page rotated so that its lines are level, on larger paper."""
    from PIL import Image

    if not degrees:
        return page
    paper = int(np.median(page))
    return np.asarray(Image.fromarray(page).rotate(-degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=paper))


def turned_back(
    points: NDArray[np.float64], degrees: float, shape: tuple[int, ...], turned_shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Maps points (n, 2) of a rotated page to the page itself; shapes are (H, W) of the two."""
    angle = np.radians(degrees)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = points - np.array(turned_shape[::-1]) / 2
    return np.asarray(centred @ back + np.array(shape[::-1]) / 2)
