"""Simulated handwriting of characters, from the median lines of their strokes in writing order."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.drawing.changes import Grey
from text_recognizer.datasets.formats.stroke_files import Points

Lines = NDArray[np.float64]  # (S, 16, 2) strokes of a character: x and y of equidistant points

_POINTS = 16  # per stroke
_JOIN_POINTS = 8
_TIMES_AS_LARGE = 4  # drawn larger than in the image
# Standard deviations for parts, which are consecutive strokes, and for strokes.
_PART_SCALE, _PART_SHIFT, _PART_DEGREES = 0.10, 0.03, 3.0
_STROKE_SCALE, _STROKE_SHIFT, _STROKE_DEGREES, _STROKE_BOW = 0.12, 0.018, 5.0, 0.07
_WARP = 0.04
_HOOK_RADIANS, _HOOK_SHARE = 1.2, 0.18  # minimum turn, maximum share of a stroke
_FARTHEST_ROUNDED = 5  # points


def even_lines(strokes: Sequence[Points]) -> Lines:
    """(S, 16, 2) equidistant points along strokes of at least one point each."""
    return np.stack([_evenly(points) for points in strokes])


def written(lines: Lines, side: int, random: np.random.Generator) -> Grey:
    """(side, side) light ink on black, scaled to fit.

    Writers differ in how much they round corners, omit hooks and join strokes, and in the width of the pen; parts and
    strokes are moved, rotated, bent and scaled.

    Args:
        lines: strokes of one character, in order: see even_lines.
        side: side in pixels.
        random: generator of all changes.
    """
    from PIL import Image, ImageDraw

    cursive = float(random.random() ** 1.5)
    lines = _warped(_parts_moved(_strokes_changed(lines, cursive, random), random), random)
    pen = random.uniform(0.025, 0.075) * (0.75 + 0.25 * _room(lines))
    thinnest = 0.4 if random.random() < 0.5 else 1.0

    low, high = lines.min(axis=(0, 1)) - pen / 2, lines.max(axis=(0, 1)) + pen / 2
    large = side * _TIMES_AS_LARGE
    scale = (large - _TIMES_AS_LARGE) / float((high - low).max())
    lines = lines * scale + ((large - (high - low) * scale) / 2 - low * scale)
    canvas = Image.new("L", (large, large))
    draw = ImageDraw.Draw(canvas)
    for points, first, last in _with_joins(lines, scale, cursive, thinnest, random):
        width, step = first * pen * scale, (last - first) * pen * scale / (len(points) - 1)
        before = None
        for x, y in points.tolist():
            if before:
                draw.line([before, (x, y)], fill=255, width=max(1, round(width)))
            half = width / 2
            draw.ellipse([x - half, y - half, x + half, y + half], fill=255)
            before = (x, y)
            width += step
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX))


def _room(lines: Lines) -> float:
    """1 for few strokes, and less for many."""
    return min(1.0, 8 / len(lines))


def _strokes_changed(lines: Lines, cursive: float, random: np.random.Generator) -> Lines:
    """Each stroke with rounded corners, bent, rotated, scaled and moved, some without their hooks."""
    count = len(lines)
    bare = random.random(count) < 0.3 + 0.4 * cursive
    lines = np.stack([_without_hooks(line) if drop else line for line, drop in zip(lines, bare, strict=True)])
    lines = _rounding()[random.integers(0, 2 + round((_FARTHEST_ROUNDED - 1) * cursive), count)] @ lines
    across = (lines[:, -1] - lines[:, 0])[:, None, ::-1] * [-1, 1]
    bow = np.sin(np.linspace(0, math.pi, _POINTS))[:, None]
    middles = lines.mean(axis=1, keepdims=True)
    lines = lines + bow * across * random.normal(0, _STROKE_BOW, (count, 1, 1))
    turned = (lines - middles) @ _turning(random.normal(0, _STROKE_DEGREES, count))
    moved = random.normal(0, _STROKE_SHIFT, (count, 1, 2)) * (0.5 + 0.5 * _room(lines))
    return np.asarray(turned * (1 + random.normal(0, _STROKE_SCALE, (count, 1, 1))) + middles + moved)


def _parts_moved(lines: Lines, random: np.random.Generator) -> Lines:
    """One to four parts of a character, each stretched, rotated and moved."""
    inner = np.arange(1, len(lines))
    cuts = random.choice(inner, min(len(inner), int(random.integers(0, 4))), replace=False) if len(inner) else inner
    moved = np.empty_like(lines)
    for begin, end in pairwise([0, *sorted(cuts.tolist()), len(lines)]):
        middle = lines[begin:end].mean(axis=(0, 1))
        stretched = (lines[begin:end] - middle) * (1 + random.normal(0, _PART_SCALE, 2))
        turning = _turning(random.normal(0, _PART_DEGREES, 1))[0]
        moved[begin:end] = stretched @ turning + middle + random.normal(0, _PART_SHIFT, 2)
    return moved


def _warped(lines: Lines, random: np.random.Generator) -> Lines:
    """The whole character with bent sides and moved corners."""
    x, y = lines[..., 0] - 0.5, lines[..., 1] - 0.5
    bent = np.stack([4 * x * y, 4 * x * x - 0.5, 4 * y * y - 0.5], axis=-1)
    return np.asarray(lines + bent @ random.normal(0, _WARP, (3, 2)))


def _with_joins(
    lines: Lines, scale: float, cursive: float, thinnest: float, random: np.random.Generator
) -> Iterator[tuple[Points, float, float]]:
    """Strokes and lines that join some of them, with the widths of both ends as shares of the pen's.

    Ends that are close are joined more often; `scale`: side of the character's square in units of the lines.
    """
    at = np.linspace(0, 1, _JOIN_POINTS)[:, None]
    gaps = np.hypot(*(lines[1:, 0] - lines[:-1, -1]).T)
    joined = random.random(len(gaps)) < 1.1 * cursive * np.exp(-2 * gaps / scale)
    for index, (line, last) in enumerate(zip(lines, random.uniform(thinnest, 1.0, len(lines)).tolist(), strict=True)):
        yield line, 1.0, last
        if index < len(joined) and joined[index]:
            begin, end = line[-1], lines[index + 1, 0]
            middle = (begin + end) / 2 + random.normal(0, 0.1, 2) * gaps[index]
            width = random.uniform(0.3, 0.9)
            yield (1 - at) ** 2 * begin + 2 * at * (1 - at) * middle + at**2 * end, width, width


def _evenly(points: Points) -> Points:
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, along[-1], _POINTS)
    return np.stack([np.interp(at, along, values) for values in points.T], axis=1)


def _without_hooks(line: Points) -> Points:
    """A stroke without the short segments before and after sharp turns near its ends."""
    steps = np.diff(line, axis=0)
    directions, lengths = np.arctan2(steps[:, 1], steps[:, 0]), np.hypot(*steps.T)
    turns = np.abs((directions[2:] - directions[:-2] + math.pi) % (2 * math.pi) - math.pi)
    sharp = np.flatnonzero(turns > _HOOK_RADIANS) + 1  # the step in the middle of a turn
    if not len(sharp):
        return line
    most = _HOOK_SHARE * lengths.sum()
    first = max((int(at) for at in sharp if lengths[:at].sum() < most), default=0)
    last = min((int(at) for at in sharp if lengths[at + 1 :].sum() < most), default=len(line) - 1)
    return _evenly(line[first : last + 1]) if (first or last < len(line) - 1) and last - first > 2 else line


@lru_cache(maxsize=1)
def _rounding() -> NDArray[np.float64]:
    """(6, 16, 16): the n-th matrix replaces each point of a stroke by a mean of those up to n before and after it."""
    reaches = range(1, _FARTHEST_ROUNDED + 1)
    return np.stack(
        [np.eye(_POINTS), *(np.stack([_mean_of_near(row, n) for row in np.eye(_POINTS)], 1) for n in reaches)]
    )


def _mean_of_near(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Weighted means of the values up to `reach` before and after each; the ends stay."""
    weights = np.hanning(2 * reach + 3)[1:-1]
    padded = np.pad(values, reach, mode="reflect", reflect_type="odd")
    return np.asarray(np.convolve(padded, weights / weights.sum(), "valid"))


def _turning(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2, 2) rotation matrices, to multiply points from the right."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.stack([np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)], axis=-2)
