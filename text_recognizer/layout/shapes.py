"""The shape of each line from its strokes: box, baseline, outline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.straighten import Points
from text_recognizer.layout.ink import Mask
from text_recognizer.layout.ridges import Ridge

Floats = NDArray[np.float64]

# In heights of a line.
_SHORTEST_RIDGE = 1.0
_BESIDE = 0.5  # maximum distance of strokes before and after a ridge
_REACH = 1.0  # maximum distance above or below it
_CORE = 0.35  # half the height of letters without ascenders and descenders
_RARE = 0.35  # of the line's typical stroke density: below, the line has ended
_STANDING = 0.7  # share of columns that end at or above the baseline
_OUTLIERS = 0.01  # share of strokes above and below that are ignored
_MARGIN = 0.15  # around a line's strokes
# Outlines extend from the baseline at most as far as the usual quantile of all on the page. The sizes of lines are
# compared by a low quantile, which tall letters and long strokes do not change.
_LOW, _USUAL = 0.25, 0.4
_OF_A_LINE = (2.0, 0.2, 0.3)  # minimum width and height, and ink in squares of the height
OF_A_NOTE = (2.0, 0.2, 0.15)
_OF_A_WORD = (0.8, 0.25, 0.1)  # the same for words that are the only writing on a page
# Minimum share of the page's strokes in such a word, in several together; minimum number of strokes in each.
_ALL, _MOST, _FEWEST_STROKES = 0.8, 0.6, 3
_MOST_WORDS = 400  # noise has more ridges, and looking at each would take half a minute
_WEAKEST = 0.35  # of the page's strong lines
_BETWEEN_LINES = (0.45, 0.75)
_LEAST_CONTRAST = 1.5  # of its core's density to that above and below: noise has 1.0 to 1.35, writing at least 1.5


@dataclass(frozen=True)
class FoundLine:
    """A line, in pixels of the page.

    Args:
        box: left, top, right, bottom around its ink, ends excluded.
        baseline: baseline of its letters, in the direction of its characters from left to right; empty if unknown.
        polygon: outline of its ink with a small margin, without long loops and tails; empty if only the box is known.
    """

    box: tuple[int, int, int, int]
    baseline: Points = ()
    polygon: Points = ()


@dataclass(frozen=True)
class LineShape:
    """A line in pixels of the analysed image.

    Args:
        box: left, top, right, bottom.
        columns: (k,) columns at which the three curves are known; (0,) if only the box is.
        baseline, above, below: (k,) rows.
    """

    box: tuple[float, float, float, float]
    columns: Floats
    baseline: Floats
    above: Floats
    below: Floats

    @classmethod
    def of_box(cls, box: Sequence[float]) -> "LineShape":
        left, top, right, bottom = box
        return cls((left, top, right, bottom), *np.zeros((4, 0)))

    def on_page(self, to_page: Callable[[Floats], Floats], shape: tuple[int, ...]) -> FoundLine:
        """The line in pixels of the page (H, W); `to_page` maps points (n, 2) of the image to the page."""
        courses = (np.stack([self.columns, rows], axis=1) for rows in (self.baseline, self.above, self.below))
        baseline, above, below = (_points(to_page(course)) for course in courses)
        left, top, right, bottom = self.box
        corners = to_page(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]))
        sides = np.clip([corners.min(axis=0), corners.max(axis=0)], 0, shape[::-1])
        x1, y1, x2, y2 = np.rint(sides).astype(int).ravel().tolist()
        return FoundLine((x1, y1, x2, y2), baseline, (*above, *below[::-1]))


def line_shapes(
    strokes: Mask, ridges: list[Ridge], height: float, least: tuple[float, float, float] = _OF_A_LINE
) -> list[LineShape]:
    """The lines of text among ridges, without those that are too short, low, faint or empty."""
    ridges = [ridge for ridge in ridges if len(ridge.columns) > _SHORTEST_RIDGE * height]
    owner = _owners(strokes, ridges, height)
    shapes = ((_shape(owner, number, ridge, height, least), ridge) for number, ridge in enumerate(ridges, start=1))
    return [shape for shape, ridge in shapes if shape and _stands_out(strokes, ridge, shape, height)]


def lone_words(strokes: Mask, ridges: list[Ridge], height: float) -> list[LineShape]:
    """On a page without lines: its only word, or the words of a list; none if there is more ink, or less."""
    if not ridges:
        return []
    largest = max(ridges, key=lambda one: len(one.columns) * one.strength)
    found = _words(strokes, [largest], height, _ALL)
    return found or (_words(strokes, ridges, height, _MOST) if len(ridges) <= _MOST_WORDS else [])


def evened(lines: Sequence[LineShape]) -> list[LineShape]:
    """Lines whose outlines exclude strokes that extend unusually far up or down.

    The image of a line is scaled by its height: with one long stroke in it, all of its letters would be small. For
    writing larger than the page's, the limits are proportionally larger.
    """
    reaches = [(line.baseline - line.above, line.below - line.baseline) for line in lines]
    usual = [np.quantile(np.concatenate(side), [_LOW, _USUAL]) for side in zip(*reaches, strict=True)]
    found = []
    for line, sides in zip(lines, reaches, strict=True):
        lows = [np.quantile(side, _LOW) for side in sides]
        up, down = (far * low / page if low > far else far for low, (page, far) in zip(lows, usual, strict=True))
        above, below = np.maximum(line.above, line.baseline - up), np.minimum(line.below, line.baseline + down)
        found.append(replace(line, above=above, below=below))
    return found


def _words(strokes: Mask, ridges: list[Ridge], height: float, least_share: float) -> list[LineShape]:
    from scipy import ndimage

    owner = _owners(strokes, ridges, height)
    found, inked = [], 0
    for number, ridge in enumerate(ridges, start=1):
        own = owner[_window(ridge, height, owner.shape)] == number
        is_word = ndimage.label(own, np.ones((3, 3)))[1] >= _FEWEST_STROKES
        shape = _shape(owner, number, ridge, height, _OF_A_WORD) if is_word else None
        if shape and _stands_out(strokes, ridge, shape, height):
            found.append(shape)
            inked += int(np.count_nonzero(own))
    return found if inked >= least_share * np.count_nonzero(strokes) else []


def _window(ridge: Ridge, height: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    beside, reach = _BESIDE * height, _REACH * height
    rows = slice(max(0, int(ridge.rows.min() - reach)), min(shape[0], int(ridge.rows.max() + reach) + 1))
    columns = slice(max(0, int(ridge.columns[0] - beside)), min(shape[1], int(ridge.columns[-1] + beside) + 1))
    return rows, columns


def _distances(ridge: Ridge, rows: slice, columns: slice) -> Floats:
    """Distance of each pixel of a window below the ridge's middle."""
    middle = np.interp(np.arange(columns.start, columns.stop), ridge.columns, ridge.rows)
    return np.arange(rows.start, rows.stop)[:, None] - middle[None]


def _owners(strokes: Mask, ridges: list[Ridge], height: float) -> NDArray[np.int32]:
    """(H, W) the number, from 1, of the ridge nearest to each pixel of a stroke; 0 if none is near."""
    owner = np.zeros(strokes.shape, np.int32)
    nearest = np.where(strokes, _REACH * height, -1).astype(np.float32)
    for number, ridge in enumerate(ridges, start=1):
        window = _window(ridge, height, strokes.shape)
        distances = np.abs(_distances(ridge, *window))
        nearer = distances < nearest[window]
        nearest[window][nearer] = distances[nearer]
        owner[window][nearer] = number
    return owner


def _shape(
    owner: NDArray[np.int32],
    number: int,
    ridge: Ridge,
    height: float,
    least: tuple[float, float, float],
) -> LineShape | None:
    window = _window(ridge, height, owner.shape)
    rows, columns = np.nonzero(owner[window] == number)
    below = _distances(ridge, *window)[rows, columns]  # of each of its pixels: below the middle
    rows, columns = rows + window[0].start, columns + window[1].start
    core = np.abs(below) < _CORE * height
    ends = _ends(columns[core], window[1], height)
    if ends is None:
        return None
    inside = (columns >= ends[0]) & (columns < ends[1])
    rows, columns, below = rows[inside], columns[inside], below[inside]
    top, bottom = np.quantile(rows, [_OUTLIERS, 1 - _OUTLIERS])
    is_text = (
        ends[1] - ends[0] >= least[0] * height
        and bottom - top >= least[1] * height
        and np.count_nonzero(core[inside]) >= least[2] * height**2
        and ridge.strength >= _WEAKEST
    )
    if not is_text:
        return None
    return LineShape((ends[0], float(top), ends[1], float(bottom) + 1), *_courses(ridge, rows, columns, ends, height))


def _stands_out(strokes: Mask, ridge: Ridge, shape: LineShape, height: float) -> bool:
    """Whether a line has more strokes than the space between it and its neighbours."""
    window = _window(ridge, height, strokes.shape)
    columns = slice(round(shape.box[0]), round(shape.box[2]))
    distances = np.abs(_distances(ridge, window[0], columns))
    nearest, farthest = (part * height for part in _BETWEEN_LINES)
    shown = strokes[window[0], columns]
    between = shown[(distances > nearest) & (distances < farthest)]
    return float(shown[distances < _CORE * height].mean()) > _LEAST_CONTRAST * (between.mean() if len(between) else 0)


def _ends(columns: NDArray[np.int64], window: slice, height: float) -> tuple[int, int] | None:
    """The first and last column of the strokes of a line's core, ignoring few isolated ones."""
    from scipy import ndimage

    counts = np.bincount(columns - window.start, minlength=window.stop - window.start).astype(np.float64)
    dense = ndimage.uniform_filter1d(counts, max(1, int(height)), mode="constant")
    if not (dense > 1e-9).any():
        return None
    usual = np.flatnonzero(dense > _RARE * np.median(dense[dense > 1e-9]))
    inked = np.flatnonzero(counts)
    inked = inked[(inked >= usual[0]) & (inked <= usual[-1])]
    return (window.start + int(inked[0]), window.start + int(inked[-1]) + 1) if len(inked) else None


def _courses(
    ridge: Ridge, rows: NDArray[np.int64], columns: NDArray[np.int64], ends: tuple[int, int], height: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Columns, about one per line height, and the rows of the baseline and the outline there."""
    first, last = ends[0] - _MARGIN * height, ends[1] + _MARGIN * height
    places = np.linspace(first, last, max(2, round((last - first) / height) + 1))
    middle = np.interp(places, ridge.columns, ridge.rows)
    offsets = rows - np.interp(columns, ridge.columns, ridge.rows)
    near = [np.abs(columns - place) <= height for place in places]
    above, below = (
        np.array([np.quantile(offsets[one], share) if one.any() else np.nan for one in near])
        for share in (_OUTLIERS, 1 - _OUTLIERS)
    )
    above, below = (_without_gaps(course) for course in (above, below))
    standing = feet(columns, offsets, places, height)
    baseline = middle + standing
    margin = _MARGIN * height
    return (
        places,
        baseline,
        np.minimum(middle + above, baseline) - margin,
        np.maximum(middle + below, baseline) + margin,
    )


def feet(columns: NDArray[np.int64], offsets: Floats, places: Floats, height: float) -> Floats:
    """Distance of the baseline below the ridge's middle, from the lowest strokes of columns without descenders."""
    order = np.lexsort((offsets, columns))
    columns, offsets = columns[order], offsets[order]
    lowest = np.append(np.flatnonzero(np.diff(columns)), len(columns) - 1)
    ends = np.minimum(offsets[lowest], _BESIDE * height)
    where = columns[lowest]
    near = [ends[np.abs(where - place) <= 1.5 * height] for place in places]
    course = _without_gaps(np.array([np.quantile(one, _STANDING) if len(one) else np.nan for one in near]))
    return np.convolve(np.pad(course, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")


def _without_gaps(course: Floats) -> Floats:
    known = np.flatnonzero(~np.isnan(course))
    return np.interp(np.arange(len(course)), known, course[known])


def _points(places: Floats) -> Points:
    return tuple((x, y) for x, y in np.round(places, 1).tolist())
