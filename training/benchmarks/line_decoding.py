"""Beam search of 25 prefixes, with and without a language model, against its budget a line and against TensorFlow's."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.decoding.beam import beam_search
from text_recognizer.decoding.greedy import greedy_labels, softmax
from text_recognizer.decoding.language_model import CharacterLanguageModel
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
        language = made_language(classes)
        ours, listening, greedy, theirs = medians(
            ROUNDS,
            partial(_ms_a_line, _ours, logits),
            partial(_ms_a_line, partial(_ours, language=language), logits),
            partial(_ms_a_line, _greedy, logits),
            partial(_ms_a_line, _theirs, logits[:few]),
        )
        what = f"beam {BEAM_WIDTH}, {FRAMES} frames, {classes:,} classes"
        figures += [
            Figure(f"{what}: ours / budget", ours, budget_ms, "ms a line", "<= 1"),
            Figure(f"{what}, with 6-grams / budget", listening, budget_ms, "ms a line", "<= 1"),
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


def made_language(classes: int) -> CharacterLanguageModel:
    """A model of character 6-grams as large as that of some thousand lines."""
    random = np.random.default_rng(1)
    odds = 1 / np.arange(1, classes)
    labels = [random.choice(np.arange(1, classes), 40, p=odds / odds.sum()) for _ in range(3000)]
    return CharacterLanguageModel.learn(labels, classes, 6)


def _ms_a_line(decode: Any, logits: NDArray[np.float32]) -> float:
    return seconds(lambda: decode(logits)) * 1000 / len(logits)


def _ours(logits: NDArray[np.float32], language: CharacterLanguageModel | None = None) -> None:
    scorers = [] if language is None else [(language, 0.5)]
    size = 8 if logits.shape[2] > 1000 else len(logits)  # as LineModelCtc scores them
    for start in range(0, len(logits), size):
        part = logits[start : start + size]
        beam_search(softmax(part), np.full(len(part), FRAMES), BEAM_WIDTH, scorers, 1.0 if scorers else 0.0)


def _greedy(logits: NDArray[np.float32]) -> None:
    greedy_labels(logits, np.full(len(logits), FRAMES))


def _theirs(logits: NDArray[np.float32]) -> None:
    import tensorflow as tf

    blank_last = np.concatenate([logits[..., 1:], logits[..., :1]], axis=2).transpose(1, 0, 2)
    tf.nn.ctc_beam_search_decoder(blank_last, np.full(len(logits), FRAMES, np.int32), BEAM_WIDTH)
