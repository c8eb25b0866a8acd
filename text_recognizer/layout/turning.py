"""Pages whose lines run at an angle: which it is, the page turned upright, and the way back."""

import numpy as np
from numpy.typing import NDArray

from text_recognizer.layout.ink import Grey, Mask

_STEP, _FINE_STEP = 3.0, 0.5  # degrees
_SMALLEST_ANGLE = 10.0  # lines that slope by less are found as they are
_CLEARER = 1.5  # times as clear as level lines must lines at an angle be; on 22 pages, others had at most 0.74
_LONGEST_STROKE = 2.0  # heights of a line; what is longer is the edge of a page or a rule
_LEAST_INK = 3.0  # squares of a line's height: a few words show no direction
_MOST_POINTS = 20_000
_MOST_PAPER = 4.0  # times that of the page: a long strip that is turned needs much more, and has no such lines
_BIN, _BLUR = 0.1, 0.25  # in heights of a line


def angle_of_lines(strokes: Mask, height: float) -> float:
    """How many degrees the lines climb from left to right, -87 to 90; 0 where they are about level.

    Seen along the lines, strokes lie in ridges. Whether a page is upside down is not seen.
    """
    from scipy import ndimage

    parts, _ = ndimage.label(strokes, np.ones((3, 3)))
    sides = [max(side.stop - side.start for side in found) for found in ndimage.find_objects(parts)]
    short = np.array([False, *(side < _LONGEST_STROKE * height for side in sides)])
    rows, columns = np.nonzero(short[parts])
    if len(rows) < _LEAST_INK * height**2:
        return 0.0
    some = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_POINTS)).astype(int)
    points = np.stack([columns[some], rows[some]]) / (_BIN * height)

    def clearness(degrees: float) -> float:
        angle = np.radians(degrees)
        seen = np.array([np.sin(angle), np.cos(angle)]) @ points
        counts = np.bincount((seen - seen.min()).astype(int)).astype(np.float64)
        return float(np.maximum(-ndimage.gaussian_filter1d(counts, _BLUR / _BIN, order=2), 0).sum())

    level = max(map(clearness, np.arange(-_SMALLEST_ANGLE, _SMALLEST_ANGLE + 1, 2.0)))
    best = max(np.arange(-87, 93, _STEP), key=clearness)
    best = max(np.arange(best - _STEP, best + _STEP, _FINE_STEP), key=clearness)
    long, wide = strokes.shape
    across, along = abs(np.sin(np.radians(best))), abs(np.cos(np.radians(best)))
    paper = (long * along + wide * across) * (long * across + wide * along)
    is_clear = clearness(best) > _CLEARER * level and paper <= _MOST_PAPER * strokes.size
    return float(best) if is_clear else 0.0


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
    on_page: NDArray[np.float64] = centred @ back + np.array(shape[::-1]) / 2
    return on_page
