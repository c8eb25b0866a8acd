"""Ridges of blurred strokes: the curves of lines of text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from text_recognizer.layout.ink import Mask

# In heights of a line.
_BLUR = (0.22, 1.0)  # across the lines and along them
_SHORTEST_PIECE = 0.5
_LARGEST_GAP, _MOST_OVERLAP = 1.6, 0.5  # between two pieces of one line
_MOST_STEP = 0.38  # vertical step from one piece to the next
_SMEAR = 1.0  # extension of a piece beyond its last strokes
_COLUMN_GAP, _COLUMN_REACH, _INSIDE = 2.0, 3.0, 0.5  # gap between columns: width, height checked, margin ignored
_SPANNED_GAP = 6.0  # between two pieces of one line where the lines above and below continue
_NEXT_LINE, _PAST_GAP = (0.5, 1.8), 0.3  # the distance of these lines, and how far they reach beyond the gap
_END = 2.0  # length of the end of a piece
_WEAKEST = 0.25  # of the page's strong ridges
_MOST_PIECES = 4000  # per page; noise has more


@dataclass(frozen=True)
class Ridge:
    """A line's middle by increasing column; strength: its mean height relative to the page's strong ridges."""

    columns: NDArray[np.int64]
    rows: NDArray[np.float64]
    strength: float


def find_ridges(strokes: Mask, height: float) -> list[Ridge]:
    """The curves of the lines on a page; none for a blank page.

    Args:
        height: of a line.

    Source: ridges as of Lindeberg (1998), "Edge detection and ridge detection with automatic scale selection", in
    the smoothing of Manmatha and Rothfeder (2005), "A scale space approach for automatically segmenting words".
    """
    from scipy import ndimage

    across, along = (part * height for part in _BLUR)
    response = -ndimage.gaussian_filter(strokes.astype(np.float32), (across, along), order=(2, 0))
    if not (response > 0).any():
        return []
    strong = float(np.percentile(response[response > 0], 95))
    labels, _ = ndimage.label(response > _WEAKEST * strong, np.ones((3, 3)))
    pieces = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        if columns.stop - columns.start < _SHORTEST_PIECE * height:
            continue
        heights = np.where(labels[rows, columns] == number, response[rows, columns], 0)
        weights = heights.sum(axis=0)
        middle = np.arange(rows.start, rows.stop) @ heights / weights
        pieces.append(Ridge(np.arange(columns.start, columns.stop), middle, float(heights.max(axis=0).mean() / strong)))
    if len(pieces) > _MOST_PIECES:
        return []
    lines = _continued(pieces, height, _LARGEST_GAP, lambda one, other: _between_columns(strokes, one, other, height))
    return _continued(lines, height, _SPANNED_GAP, lambda one, other: not _is_spanned(lines, one, other, height))


def _continued(
    pieces: list[Ridge], height: float, largest_gap: float, are_apart: Callable[[Ridge, Ridge], bool]
) -> list[Ridge]:
    """Pieces joined from left to right, nearest first, where they continue each other and are not apart."""
    if not pieces:
        return []
    end = int(_END * height)
    left, right = (np.array([piece.columns[side] for piece in pieces]) for side in (0, -1))
    first = np.array([np.median(piece.rows[:end]) for piece in pieces])
    last = np.array([np.median(piece.rows[-end:]) for piece in pieces])
    gaps = (left[None] - right[:, None] - 1) / height  # (from, to)
    steps = np.abs(first[None] - last[:, None]) / height
    fits = (gaps >= -_MOST_OVERLAP) & (gaps <= largest_gap) & (steps <= _MOST_STEP) & (left[None] > left[:, None])
    costs = np.where(fits, gaps + 2 * steps, np.inf)
    following, preceding = {}, {}
    for place in np.argsort(costs, axis=None, kind="stable")[: int(fits.sum())]:
        one, other = (int(index) for index in np.unravel_index(place, costs.shape))
        is_free = one not in following and other not in preceding
        if is_free and not are_apart(pieces[one], pieces[other]):
            following[one], preceding[other] = other, one
    joined = []
    for start in range(len(pieces)):
        if start not in preceding:
            chain = [start]
            while chain[-1] in following:
                chain.append(following[chain[-1]])
            joined.append(_joined([pieces[one] for one in chain]))
    return joined


def _between_columns(strokes: Mask, before: Ridge, after: Ridge, height: float) -> bool:
    """Whether the gap between two pieces is also empty above or below them for some lines."""
    left, right = int(before.columns[-1] - _SMEAR * height), int(after.columns[0] + _SMEAR * height)
    if right - left < _COLUMN_GAP * height:
        return False
    middle = (before.rows[-1] + after.rows[0]) / 2
    reach = _COLUMN_REACH * height
    inner = slice(left + int(_INSIDE * height), right - int(_INSIDE * height))
    above = strokes[max(0, int(middle - reach)) : int(middle), inner]
    below = strokes[int(middle) : int(middle + reach), inner]
    parts = [part for part in (above, below) if part.shape[0] >= 0.9 * reach]
    return bool(parts) and not any(part.any() for part in parts)


def _is_spanned(lines: list[Ridge], before: Ridge, after: Ridge, height: float) -> bool:
    """Whether a line above and one below continue across the gap between two pieces."""
    past = _PAST_GAP * height
    start, end = before.columns[-1] - past, after.columns[0] + past
    spanning = [line for line in lines if line.columns[0] <= start and line.columns[-1] >= end]
    middle, row = (start + end) / 2, (before.rows[-1] + after.rows[0]) / 2
    distances = [(float(np.interp(middle, line.columns, line.rows)) - row) / height for line in spanning]
    nearest, farthest = _NEXT_LINE
    is_above, is_below = (any(nearest < side * far <= farthest for far in distances) for side in (-1, 1))
    return is_above and is_below


def _joined(pieces: list[Ridge]) -> Ridge:
    columns = np.concatenate([piece.columns for piece in pieces])
    rows = np.concatenate([piece.rows for piece in pieces])
    strength = sum(piece.strength * len(piece.columns) for piece in pieces) / len(columns)
    order = np.argsort(columns, kind="stable")
    return Ridge(columns[order], rows[order], strength)
