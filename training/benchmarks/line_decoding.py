"""Beam search of 25 prefixes, against its budget a line and against TensorFlow's."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.decoding.beam import beam_search
from text_recognizer.decoding.greedy import greedy_labels, softmax
from training.benchmarks.figures import Figure, medians, seconds

ROUNDS = 3
FRAMES, BEAM_WIDTH = 128, 25
LINES = 64
# Classes; the budget of a line in milliseconds; how many lines TensorFlow is given; by how much what is there stands
# out, so that a frame has three to eight characters above a thousandth, as real readers of 80 to 94 classes have.
CASES = ((98, 5.0, 16, 10.5), (3790, 10.0, 2, 12.0))


def measure() -> list[Figure]:
    figures = []
    for classes, budget_ms, few, peak in CASES:
        logits = made_outputs(LINES, classes, peak)
        ours, greedy, theirs = medians(
            ROUNDS,
            partial(_ms_a_line, _ours, logits),
            partial(_ms_a_line, _greedy, logits),
            partial(_ms_a_line, _theirs, logits[:few]),
        )
        what = f"beam {BEAM_WIDTH}, {FRAMES} frames, {classes:,} classes"
        figures += [
            Figure(f"{what}: ours / budget", ours, budget_ms, "ms a line", "<= 1"),
            Figure(f"{what}: ours / TensorFlow", ours, theirs, "ms a line", "<= 0.5"),
            Figure(f"greedy, {classes:,} classes / beam", greedy, ours, "ms a line", "<= 1"),
        ]
    return figures


def made_outputs(lines: int, classes: int, peak: float) -> NDArray[np.float32]:
    """Logits as a reader gives them: mostly blank, a character every three frames, every fourth of them in doubt."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (lines, FRAMES, classes)).astype(np.float32)
    logits[:, :, 0] += peak
    rows = np.arange(lines)
    for frame in range(1, FRAMES, 3):
        best, second = random.integers(1, classes, (2, lines))
        logits[rows, frame, 0] -= peak
        logits[rows, frame, best] += peak + 1
        doubt = random.random(lines) < 0.25
        logits[rows[doubt], frame, second[doubt]] += peak
    return logits


def _ms_a_line(decode: Any, logits: NDArray[np.float32]) -> float:
    return seconds(lambda: decode(logits)) * 1000 / len(logits)


def _ours(logits: NDArray[np.float32]) -> None:
    size = 8 if logits.shape[2] > 1000 else len(logits)  # as LineModelCtc scores them
    for start in range(0, len(logits), size):
        part = logits[start : start + size]
        beam_search(softmax(part), np.full(len(part), FRAMES), BEAM_WIDTH)


def _greedy(logits: NDArray[np.float32]) -> None:
    greedy_labels(logits, np.full(len(logits), FRAMES))


def _theirs(logits: NDArray[np.float32]) -> None:
    import tensorflow as tf

    blank_last = np.concatenate([logits[..., 1:], logits[..., :1]], axis=2).transpose(1, 0, 2)
    tf.nn.ctc_beam_search_decoder(blank_last, np.full(len(logits), FRAMES, np.int32), BEAM_WIDTH)
