"""Characters written as if by hand, from the middle lines of their strokes, in the order in which they are written."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from text_recognizer.datasets.drawing.changes import Grey
from text_recognizer.datasets.formats.stroke_files import Points

_POINTS = 24  # of a stroke while it is changed
_JOIN_POINTS = 10
_TIMES_AS_LARGE = 4  # drawn, as in the picture
# Of parts, which are strokes that follow each other, and of strokes, as standard deviations.
_PART_SCALE, _PART_SHIFT, _PART_DEGREES = 0.10, 0.03, 3.0
_STROKE_SCALE, _STROKE_SHIFT, _STROKE_DEGREES, _STROKE_BOW = 0.12, 0.018, 5.0, 0.07
_WARP = 0.04
_HOOK_RADIANS, _HOOK_SHARE = 1.2, 0.18  # the least turn and the largest share of a stroke


def written(strokes: Sequence[Points], side: int, random: np.random.Generator) -> Grey:
    """(side, side) light ink on black; as large as fits.

    Hands differ in how much they round corners, leave hooks out and join strokes, and in the width of the pen; parts
    and strokes are moved, turned, bent and scaled.

    Args:
        strokes: of one character, in order.
        side: in pixels.
        random: of all changes.
    """
    from PIL import Image, ImageDraw

    cursive = float(random.random() ** 1.5)
    lines = _warped(
        _parts_moved([_changed(points, cursive, len(strokes), random) for points in strokes], random), random
    )
    crowded = min(1.0, 8 / len(lines))
    pen = random.uniform(0.025, 0.075) * (0.75 + 0.25 * crowded)
    thinnest = 0.4 if random.random() < 0.5 else 1.0

    everything = np.concatenate(lines)
    low, high = everything.min(axis=0) - pen / 2, everything.max(axis=0) + pen / 2
    large = side * _TIMES_AS_LARGE
    scale = (large - _TIMES_AS_LARGE) / float((high - low).max())
    offset = (large - (high - low) * scale) / 2 - low * scale
    canvas = Image.new("L", (large, large))
    draw = ImageDraw.Draw(canvas)
    for points, ends in _with_joins(lines, cursive, thinnest, random):
        placed = points * scale + offset
        widths = np.linspace(*ends, len(points)) * pen * scale
        for (begin, end), width in zip(pairwise(placed.tolist()), widths, strict=False):
            draw.line([*begin, *end], fill=255, width=max(1, round(width)))
        for (x, y), half in zip(placed.tolist(), widths / 2, strict=True):
            draw.ellipse([x - half, y - half, x + half, y + half], fill=255)
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX))


def _changed(points: Points, cursive: float, strokes: int, random: np.random.Generator) -> Points:
    """A stroke of one of several, with rounded corners, bent, turned, scaled and moved."""
    line = evenly(points, _POINTS)
    if random.random() < 0.3 + 0.4 * cursive:
        line = _without_hook(_without_hook(line)[::-1])[::-1]
        line = evenly(line, _POINTS)
    line = _rounded(line, int(random.integers(0, 3 + int(5 * cursive))))
    across = (line[-1] - line[0])[::-1] * [-1, 1]
    bow = np.sin(np.linspace(0, math.pi, _POINTS))[:, None]
    middle = line.mean(axis=0)
    line = line + bow * across * random.normal(0, _STROKE_BOW)
    line = _turned(line, random.normal(0, _STROKE_DEGREES), middle)
    moved = random.normal(0, _STROKE_SHIFT, 2) * (0.5 + 0.5 * min(1.0, 8 / strokes))
    return np.asarray((line - middle) * (1 + random.normal(0, _STROKE_SCALE)) + middle + moved)


def _parts_moved(lines: list[Points], random: np.random.Generator) -> list[Points]:
    """One to four parts of a character, each stretched, turned and moved."""
    inner = np.arange(1, len(lines))
    cuts = random.choice(inner, min(len(inner), int(random.integers(0, 4))), replace=False) if len(inner) else inner
    moved: list[Points] = []
    for begin, end in pairwise([0, *sorted(cuts.tolist()), len(lines)]):
        middle = np.concatenate(lines[begin:end]).mean(axis=0)
        stretch = 1 + random.normal(0, _PART_SCALE, 2)
        shift, degrees = random.normal(0, _PART_SHIFT, 2), random.normal(0, _PART_DEGREES)
        moved += [_turned((line - middle) * stretch + middle + shift, degrees, middle) for line in lines[begin:end]]
    return moved


def _warped(lines: list[Points], random: np.random.Generator) -> list[Points]:
    """The whole character, its sides bent and its corners pulled."""
    amounts = random.normal(0, _WARP, (3, 2))
    warped = []
    for line in lines:
        x, y = (line - 0.5).T
        bent = np.stack([4 * x * y, 4 * x * x - 0.5, 4 * y * y - 0.5], axis=1)
        warped.append(line + bent @ amounts)
    return warped


def _with_joins(
    lines: list[Points], cursive: float, thinnest: float, random: np.random.Generator
) -> Iterator[tuple[Points, tuple[float, float]]]:
    """Strokes and the lines that join some of them, with the widths of their ends as shares of the pen's."""
    for line, follows in zip(lines, [*lines[1:], None], strict=True):
        yield line, (1.0, random.uniform(thinnest, 1.0))
        if follows is None:
            return
        begin, end = line[-1], follows[0]
        gap = float(np.hypot(*(end - begin)))
        if random.random() < 1.1 * cursive * math.exp(-2 * gap):
            middle = (begin + end) / 2 + random.normal(0, 0.1, 2) * gap
            at = np.linspace(0, 1, _JOIN_POINTS)[:, None]
            width = random.uniform(0.3, 0.9)
            yield (1 - at) ** 2 * begin + 2 * at * (1 - at) * middle + at**2 * end, (width, width)


def evenly(points: Points, count: int) -> Points:
    """(count, 2) at equal distances along a line of at least one point."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, values) for values in points.T], axis=1)


def _without_hook(line: Points) -> Points:
    """A stroke without the short piece after a sharp turn near its end."""
    steps = np.diff(line, axis=0)
    directions, lengths = np.arctan2(steps[:, 1], steps[:, 0]), np.hypot(*steps.T)
    for last in range(len(line) - 2, len(line) - 8, -1):
        turn = abs((directions[last] - directions[last - 3] + math.pi) % (2 * math.pi) - math.pi)
        if turn > _HOOK_RADIANS:
            return line[:last] if lengths[last:].sum() < _HOOK_SHARE * lengths.sum() else line
    return line


def _rounded(line: Points, reach: int) -> Points:
    """Each point the weighted mean of those up to `reach` before and after it; the ends stay."""
    if not reach:
        return line
    padded = np.pad(line, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    weights = np.hanning(2 * reach + 3)[1:-1]
    weights /= weights.sum()
    return np.stack([np.convolve(values, weights, "valid") for values in padded.T], axis=1)


def _turned(line: Points, degrees: float, middle: Points) -> Points:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return np.asarray((line - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle)
