"""Alignment: the probability of a label, and the frames of its characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEVER = np.float32(-1e30)  # logarithm of zero, but finite
_SCALED_EVERY = 8  # frames: in so few, only negligible path probabilities underflow
_SMALLEST = 1e-300


@dataclass(frozen=True)
class Alignment:
    """The alignment of a label with the frames of its line.

    Args:
        log_probability: log-probability of the label, over all paths that spell it.
        first, last: (L,) first and last frame of each character on the most probable path.
        confidences: (L,) maximum probability of each character over its frames.
    """

    log_probability: float
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    confidences: NDArray[np.float32]


def align(
    log_probabilities: NDArray[np.float32], frames: NDArray[np.integer[Any]], labels: Sequence[NDArray[np.integer[Any]]]
) -> list[Alignment]:
    """The alignment of each line's label.

    Args:
        log_probabilities: (B, T, classes), class 0 being the blank.
        frames: (B,) number of frames that show the line.
        labels: class ids without blanks; each must have a path through its frames.
    """
    if not len(labels):
        return []
    lengths = np.array([2 * len(label) + 1 for label in labels])
    spelled = np.zeros((len(labels), lengths.max()), np.int64)  # (B, S), S = 2 L + 1: blanks around all characters
    for row, label in zip(spelled, labels, strict=True):
        row[1 : 2 * len(label) : 2] = label
    skips = np.zeros(spelled.shape, bool)  # a blank between different characters may be skipped
    skips[:, 2:] = (spelled[:, 2:] != 0) & (spelled[:, 2:] != spelled[:, :-2])
    emitted = np.stack([row[:, places] for row, places in zip(log_probabilities, spelled, strict=True)], axis=1)
    best, moves = _best_paths(emitted, skips)
    outside = np.arange(len(emitted))[:, None] >= frames
    totals = _over_all_paths(emitted, skips, outside, lengths)
    found = []
    for line, (length, count) in enumerate(zip(lengths.tolist(), np.asarray(frames).tolist(), strict=True)):
        start = max(length - 2, 0)  # a path ends in the last character or in the blank after it
        place = start + int(np.argmax(best[count - 1, line, start:length]))
        places = _path(moves[:count, line], place)
        shown = emitted[np.arange(count), line, places]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        ends = np.append(starts[1:], count)
        characters = places[starts] % 2 == 1
        found.append(
            Alignment(
                max(float(totals[line]), float(shown.sum(dtype=np.float64))),
                starts[characters].astype(np.int32),
                (ends[characters] - 1).astype(np.int32),
                np.exp(np.maximum.reduceat(shown, starts)[characters]),
            )
        )
    return found


def _best_paths(emitted: NDArray[np.float32], skips: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The most probable path to each state, for log-probabilities (T, B, S) of the states' classes.

    Returns:
        (T, B, S) its log-probability; (T, B, S) the step from the previous state: 0, 1 or 2.
    """
    count, batch, places = emitted.shape
    penalty = np.where(skips, np.float32(0), _NEVER)
    best = np.full((count, batch, places + 2), _NEVER)
    best[0, :, 2:4] = emitted[0, :, :2]
    two_before, one_before, before, now = best[:-1, :, :-2], best[:-1, :, 1:-1], best[:-1, :, 2:], best[1:, :, 2:]
    skipping = np.empty_like(penalty)
    for two, one, stay, into, values in zip(two_before, one_before, before, now, emitted[1:], strict=True):
        np.add(two, penalty, out=skipping)
        np.maximum(skipping, one, out=into)
        np.maximum(into, stay, out=into)
        into += values
    moves = np.zeros(emitted.shape, np.int8)
    skipped = two_before + penalty
    moves[1:] = np.maximum(skipped, one_before) > before
    moves[1:] += skipped > np.maximum(one_before, before)
    return best[:, :, 2:], moves


def _path(moves: NDArray[np.int8], place: int) -> NDArray[np.int64]:
    """(T,) the state in each frame of the path that ends in `place`."""
    count, width = moves.shape
    flat, places = moves.tobytes(), np.empty(count, np.int64)
    for frame in range(count - 1, -1, -1):
        places[frame] = place
        place -= flat[frame * width + place]
    return places


def _over_all_paths(
    emitted: NDArray[np.float32], skips: NDArray[np.bool_], outside: NDArray[np.bool_], lengths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(B,) log-probability of all paths that spell a line; -inf if it underflows.

    Args:
        outside: (T, B) frames beyond the line.
    """
    count, batch, places = emitted.shape
    probabilities = np.exp(emitted, dtype=np.float64)
    probabilities[outside] = np.arange(places) % 2 == 0  # a complete path continues with blanks
    total, arriving = np.zeros((batch, places + 2)), np.empty((batch, places))
    total[:, 2:4] = probabilities[0, :, :2]
    two_before, one_before, before = total[:, :-2], total[:, 1:-1], total[:, 2:]
    skipping, logarithm = skips.astype(np.float64), np.zeros((batch, 1))
    for frame in range(1, count):
        np.multiply(two_before, skipping, out=arriving)
        arriving += one_before
        arriving += before
        np.multiply(arriving, probabilities[frame], out=before)
        if frame % _SCALED_EVERY == 0:
            scale = total.max(axis=1, keepdims=True)
            total /= np.maximum(scale, _SMALLEST)
            logarithm += _log(scale)
    ends = np.stack([lengths, lengths + 1], axis=1)  # in the last character or in the blank after it
    complete = np.take_along_axis(total, ends, axis=1).sum(axis=1)
    return logarithm[:, 0] + _log(complete)


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))
