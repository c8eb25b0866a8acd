"""Pages whose lines run at an angle: which it is, the page turned upright, and the way back."""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.layout.ink import Grey, Mask

_STEP, _FINE_STEP = 3.0, 0.5  # degrees
_SMALLEST_ANGLE = 4.0  # lines that slope by less are found as they are
_SMALLEST_OF_ONE = 10.0  # of the only line: the letters of a level word like "Philip" climb or fall by up to six
_LARGEST_SKEW = 14.0  # degrees, of a page that was laid down awry
_CLEARER = 1.5  # times as clear as level lines must lines at an angle be; on 22 pages, others had at most 0.74
_LONGEST_STROKE = 2.0  # heights of a line; what is longer is the edge of a page or a rule
_LEAST_INK = 3.0  # squares of a line's height: a few words show no direction
_WIDEST_BAND, _SHORTEST_BAND, _OUTLIERS = 1.0, 3.0, 0.05  # heights of the only line; times as long as wide
_MOST_POINTS = 20_000
_MOST_PAPER = 4.0  # times that of the page: a long strip that is turned needs much more, and has no such lines
_BIN, _BLUR = 0.1, 0.25  # in heights of a line


def angle_of_lines(strokes: Mask, height: float) -> float:
    """How many degrees the lines climb from left to right, above -90 and up to 90; 0 where they are about level.

    Seen along the lines, strokes lie in ridges. Whether a page is upside down is not seen.
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
    """How many degrees the only line of a page climbs; None where there is another than one."""
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
    """The angle of lines on a page (H, W), 0 where that is small, or the turned page would be too large."""
    height, width = shape
    across, along = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    paper = (height * along + width * across) * (height * across + width * along)
    return angle if abs(angle) >= smallest and paper <= _MOST_PAPER * height * width else 0.0


def turned(page: Grey, degrees: float) -> Grey:
    """A page whose lines climb by some degrees with level lines, on larger paper."""
    from PIL import Image

    if not degrees:
        return page
    paper = int(np.median(page))
    return np.asarray(Image.fromarray(page).rotate(-degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=paper))


def turned_back(
    points: NDArray[np.float64], degrees: float, shape: tuple[int, ...], turned_shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Points (n, 2) of a turned page on the page itself; shapes are (H, W) of the two."""
    angle = np.radians(degrees)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = points - np.array(turned_shape[::-1]) / 2
    return np.asarray(centred @ back + np.array(shape[::-1]) / 2)
