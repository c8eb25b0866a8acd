"""Straightens lines of text that slope, bend or run vertically."""

import math
from collections.abc import Sequence
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_steps import Grey

Points = tuple[tuple[float, float], ...]
Floats = NDArray[np.float64]

_STEEP = 20.0  # degrees; above, a line cannot be read from its box
_STRAIGHT = 0.1  # of a line's height: baselines that rise or fall by less are straight
_KNOT_EVERY = 0.5  # heights of the line
_MOST_AREA = 4  # times that of the outline's box; larger only if a baseline runs back and forth
_SLENDER = 3.0  # minimum ratio of length to width; below, the direction of an outline is unknown
_MOST_SLOPE_OF_OUTLINES = 45.0  # degrees; without a baseline, a steeper line may be a column of characters


def bent_baseline(outline: Points, baseline: Points, steep_only: bool = False, is_directed: bool = False) -> Points:
    """The baseline along which a line must be straightened; empty if its box is enough.

    Baselines are assumed to run from left to right unless they are rather vertical: files of right-to-left scripts have
    both directions. Without a baseline, the slope of a slender outline is used.

    Args:
        outline: a polygon of at least three corners.
        baseline: two or more points, or empty.
        steep_only: for readers trained on boxes: lines that slope or bend a little are unchanged.
        is_directed: whether the baseline is known to run in reading direction: one to the left is upside down.
    """
    course = np.array(baseline if len(baseline) > 1 else _middle(outline), np.float64).reshape(-1, 2)
    if len(course) < 2:
        return ()
    across, down = course[-1] - course[0]
    runs_left = across < 0 and abs(across) >= abs(down)
    is_upside_down = runs_left and is_directed
    if runs_left and not is_directed:
        course = course[::-1]
    steps = np.hypot(*np.diff(course, axis=0).T)
    course = course[np.concatenate([[True], steps > 0])]
    if len(course) < 2:
        return ()
    if not is_upside_down:
        if steep_only and abs(down) < math.tan(math.radians(_STEEP)) * abs(across):
            return ()
        height = _reach(np.array(outline), course[[0, -1]]).sum()
        if np.ptp(course[:, 1]) <= _STRAIGHT * height:
            return ()
    return tuple((x, y) for x, y in course.tolist())


def are_upside_down(lines: Sequence[tuple[Points, Points]]) -> bool:
    """Whether most lines (outline, baseline), whose texts run from left to right, are upside down.

    Their baselines run to the left, and most of their outlines is below these. For a single line this is uncertain: one
    in fifteen has more below its baseline than above.
    """
    known = _courses(lines)
    left = [(outline, course) for outline, course, across, down in known if across < -abs(down)]
    return 2 * sum(bool(above > below) for above, below in starmap(_reach, left)) > len(known)


def run_backwards(lines: Sequence[tuple[Points, Points]]) -> bool:
    """Whether most vertical lines (outline, baseline) of right-to-left texts have baselines in that direction, too.

    Then most of their outlines is below these, instead of above.
    """
    vertical = [(outline, course) for outline, course, across, down in _courses(lines) if abs(down) > abs(across)]
    return 2 * sum(bool(above < below) for above, below in starmap(_reach, vertical)) > len(vertical)


def _courses(lines: Sequence[tuple[Points, Points]]) -> list[tuple[Floats, Floats, float, float]]:
    """Outline, ends of the baseline, and how far it goes to the right and down, of lines that have both."""
    known = [(np.array(outline), np.array(line)[[0, -1]]) for outline, line in lines if line and len(outline) > 2]
    return [(outline, course, *(course[1] - course[0]).tolist()) for outline, course in known]


def straightened(image: Grey, outline: Points, baseline: Points, paper: int) -> Grey | None:
    """The content of an outline with a straightened baseline; None if the baseline runs back and forth.

    Args:
        image: (H, W); pixels outside of it are `paper`.
        baseline: see `bent_baseline`.
    """
    from PIL import Image

    corners, course = np.array(outline, np.float64), np.array(baseline, np.float64)
    above, below = (max(1, round(side)) for side in _reach(corners, course))
    knots, normals = _knots(corners, course, _KNOT_EVERY * (above + below))
    places = np.rint(np.concatenate([[0.0], np.hypot(*np.diff(knots, axis=0).T).cumsum()])).astype(int)
    sides = np.ptp(corners, axis=0)
    if places[-1] < 2 or places[-1] * (above + below) > _MOST_AREA * max(1.0, sides[0] + above) * (sides[1] + below):
        return None
    upper, lower = knots - above * normals, knots + below * normals
    mesh = [
        (
            (int(places[one]), 0, int(places[one + 1]), above + below),
            tuple(np.concatenate([upper[one], lower[one], lower[one + 1], upper[one + 1]]).tolist()),
        )
        for one in range(len(knots) - 1)
        if places[one + 1] > places[one]
    ]
    size = (int(places[-1]), above + below)
    shown = Image.fromarray(image).transform(
        size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=paper
    )
    return np.asarray(shown)


def _middle(outline: Points) -> list[tuple[float, float]]:
    """The long axis of a slender outline that slopes, as two points; empty for others."""
    corners = np.array(outline, np.float64)
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*edges.T)
    if len(corners) < 3 or not lengths.any():
        return []
    middles, weights = corners + edges / 2, lengths / lengths.sum()
    centre = weights @ middles
    spread = (weights[:, None] * (middles - centre)).T @ (middles - centre)
    spread += (weights[:, None] * edges).T @ edges / 12  # of the edges themselves
    values, directions = np.linalg.eigh(spread)
    direction = directions[:, 1] * (1 if directions[0, 1] >= 0 else -1)
    angle = abs(math.degrees(math.atan2(direction[1], direction[0])))
    if values[1] < _SLENDER**2 * values[0] or angle > _MOST_SLOPE_OF_OUTLINES:
        return []
    half = np.abs((corners - centre) @ direction).max()
    return [(x, y) for x, y in (centre + np.outer([-half, half], direction)).tolist()]


def _reach(corners: Floats, course: Floats) -> Floats:
    """How far an outline extends above and below a curve."""
    _, offset = _along(corners, course)
    return np.array([max(0.0, -offset.min()), max(0.0, offset.max())])


def _along(corners: Floats, course: Floats) -> tuple[Floats, Floats]:
    """Coordinates of corners relative to a curve: along it (extended straight at its ends), and below it."""
    steps = np.diff(course, axis=0)
    lengths = np.hypot(*steps.T)
    directions = steps / lengths[:, None]
    starts = np.concatenate([[0.0], lengths.cumsum()[:-1]])
    places, offsets = np.empty(len(corners)), np.empty(len(corners))
    last = len(steps) - 1
    for number, corner in enumerate(corners):
        from_start = corner - course[:-1]
        along = (from_start * directions).sum(axis=1)
        lowest, highest = np.zeros(last + 1), lengths.copy()
        lowest[0], highest[-1] = -np.inf, np.inf
        inside = np.clip(along, lowest, highest)
        missed = from_start - inside[:, None] * directions
        nearest = int(np.argmin((missed**2).sum(axis=1)))
        across = directions[nearest][0] * from_start[nearest][1] - directions[nearest][1] * from_start[nearest][0]
        places[number], offsets[number] = starts[nearest] + inside[nearest], across
    return places, offsets


def _knots(corners: Floats, course: Floats, distance: float) -> tuple[Floats, Floats]:
    """Points on a smoothed curve from the start to the end of an outline, and the downward direction at each."""
    places, _ = _along(corners, course)
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(course, axis=0).T).cumsum()])
    count = min(1000, max(2, math.ceil((places.max() - places.min()) / max(distance, 1.0)) + 1))
    wanted = np.linspace(places.min(), places.max(), count)
    # Beyond its ends, the curve continues in its direction there.
    first, last = course[1] - course[0], course[-1] - course[-2]
    before, after = max(0.0, -places.min()) + 1, max(0.0, places.max() - lengths[-1]) + 1
    longer = np.concatenate(
        [[course[0] - first / np.hypot(*first) * before], course, [course[-1] + last / np.hypot(*last) * after]]
    )
    at = np.concatenate([[-before], lengths, [lengths[-1] + after]])
    knots = np.stack([np.interp(wanted, at, longer[:, axis]) for axis in (0, 1)], axis=1)
    if count > 3:
        knots[1:-1] = (knots[:-2] + 2 * knots[1:-1] + knots[2:]) / 4
    tangents = np.gradient(knots, axis=0)
    tangents /= np.maximum(np.hypot(*tangents.T), 1e-9)[:, None]
    return knots, np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
