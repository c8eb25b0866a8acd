"""Alignment: how probable a label is, and which frames show its characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEVER = np.float32(-1e30)  # a logarithm of zero that can be added up


@dataclass(frozen=True)
class Alignment:
    """A label on the frames of its line.

    Args:
        log_probability: of the label, over all paths that spell it.
        first, last: (L,) frames that show each character on the most probable path.
        confidences: (L,) probability of each character in that of its frames where it is largest.
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
        frames: (B,) that show the line.
        labels: class ids without blanks; each must have a path through its frames.
    """
    if not len(labels):
        return []
    lengths = np.array([2 * len(label) + 1 for label in labels])
    spelled = np.zeros((len(labels), lengths.max()), np.int64)  # (B, S), S = 2 L + 1: blanks around all characters
    for row, label in zip(spelled, labels, strict=True):
        row[1 : 2 * len(label) : 2] = label
    emitted = np.take_along_axis(log_probabilities, spelled[:, None, :], axis=2)  # (B, T, S)
    totals, best, steps = _forward(emitted, spelled, frames)
    found = []
    for line, label in enumerate(labels):
        length, count = int(lengths[line]), int(frames[line])
        ends = slice(max(length - 2, 0), length)  # a path ends in the last character or in the blank after it
        total = float(np.logaddexp.reduce(totals[line, ends].astype(np.float64)))
        place = ends.start + int(np.argmax(best[line, ends]))
        places = np.empty(count, np.int64)  # (T,) in the label with blanks, that the best path is at in each frame
        for frame in range(count - 1, -1, -1):
            places[frame] = place
            place -= int(steps[frame, line, place])
        characters = 2 * np.arange(len(label)) + 1
        first = np.searchsorted(places, characters, side="left")
        last = np.searchsorted(places, characters, side="right") - 1
        spans = zip(first, last, characters, strict=True)
        peaks = [emitted[line, start : end + 1, at].max() for start, end, at in spans]
        confidences = np.exp(np.array(peaks, np.float32))
        found.append(Alignment(total, first.astype(np.int32), last.astype(np.int32), confidences))
    return found


def _forward(
    emitted: NDArray[np.float32], spelled: NDArray[np.int64], frames: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int8]]:
    """How probable each place is after the last frame.

    Returns:
        (B, S) log-probability of having spelled so much, over all paths; (B, S) the same on the best path alone;
        (T, B, S) for each frame how many places before the best path to each place came from: 0, 1 or 2.
    """
    batch, count, places = emitted.shape
    skips = np.zeros((batch, places), bool)  # a blank between different characters may be left out
    skips[:, 2:] = (spelled[:, 2:] != 0) & (spelled[:, 2:] != spelled[:, :-2])
    total = np.full((batch, places), _NEVER, np.float32)
    total[:, :2] = emitted[:, 0, :2]
    best = total.copy()
    steps = np.zeros((count, batch, places), np.int8)
    came = np.empty((3, batch, places), np.float32)
    for frame in range(1, count):
        going = (frame < frames)[:, None]
        steps[frame] = np.argmax(_arrivals(best, skips, came), axis=0)
        best = np.where(going, came.max(axis=0) + emitted[:, frame], best)
        largest = _arrivals(total, skips, came).max(axis=0)
        summed = largest + np.log(np.exp(came - largest).sum(axis=0))
        total = np.where(going, np.maximum(summed + emitted[:, frame], _NEVER), total)
    return total, best, steps


def _arrivals(values: NDArray[np.float32], skips: NDArray[np.bool_], into: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, B, S) values of the places from which each place can be reached: itself, the one and the two before."""
    into[0] = values
    into[1, :, 0] = _NEVER
    into[1, :, 1:] = values[:, :-1]
    into[2, :, :2] = _NEVER
    into[2, :, 2:] = np.where(skips[:, 2:], values[:, :-2], _NEVER)
    return into
