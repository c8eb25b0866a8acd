"""Greedy decoding: the most probable class of every frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def greedy_labels(outputs: NDArray[Any], frames: NDArray[np.integer[Any]]) -> list[NDArray[np.int32]]:
    """Labels of the best paths of outputs (B, T, classes), without blanks; frames (B,) that show the line."""
    best = np.argmax(outputs, axis=-1).astype(np.int32)  # (B, T)
    starts = np.ones(best.shape, bool)
    starts[:, 1:] = best[:, 1:] != best[:, :-1]
    inside = np.arange(best.shape[1]) < np.asarray(frames)[:, None]
    kept = starts & inside & (best > 0)
    return [row[mask] for row, mask in zip(best, kept, strict=True)]


def blank_frames(outputs: NDArray[Any], frames: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """(B,) number of each line's frames whose best class is the blank."""
    inside = np.arange(outputs.shape[1]) < np.asarray(frames)[:, None]
    blank = np.argmax(outputs, axis=-1) == 0
    return np.count_nonzero(blank & inside, axis=1)  # type: ignore[no-any-return]


def softmax(outputs: NDArray[Any]) -> NDArray[np.float32]:
    """Converts logits to probabilities, over the last axis."""
    values = outputs.astype(np.float32)
    values -= values.max(axis=-1, keepdims=True)
    np.exp(values, out=values)
    values /= values.sum(axis=-1, keepdims=True)
    return values


def log_softmax(outputs: NDArray[Any]) -> NDArray[np.float32]:
    """Converts logits to log-probabilities, over the last axis."""
    shifted = outputs.astype(np.float32) - outputs.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))  # type: ignore[no-any-return]
