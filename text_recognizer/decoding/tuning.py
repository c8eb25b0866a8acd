"""Tunes the weights of scorers by the errors on validation lines."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.decoding.edits import edit_distances

LANGUAGE_WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
WORD_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
LENGTH_BONUSES = (0.0, 0.5, 1.0, 1.5, 2.0)
KEPT = 5  # each round keeps one in KEPT combinations, and uses KEPT times as many lines
FINALISTS, FEWEST_LINES = 6, 25


@dataclass(frozen=True)
class DecodingWeights:
    """Weights of the scorers relative to the image.

    Args:
        language: weight of the language model's log-probabilities.
        words: penalty in log-probability for a word that is not in the lexicon.
        length: bonus in log-probability for each character, as language models favour short texts.
    """

    language: float = 0.0
    words: float = 0.0
    length: float = 0.0


def tune_weights(
    read: Callable[[DecodingWeights, int], Sequence[Sequence[Any]]],
    labels: Sequence[Sequence[Any]],
    has_language: bool,
    has_words: bool,
) -> DecodingWeights:
    """The weights with the fewest edits, tuned jointly; all zero is among those compared on all lines.

    Language model and length only help together, so they cannot be tuned one after the other. All combinations are
    tried on few lines, the best fifth of them on five times as many, and so on: each round takes the same time.

    Args:
        read: reads every n-th line with given weights.
        labels: labels of the lines.
    Source: Jamieson and Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter optimization".
    """
    languages, bonuses = (LANGUAGE_WEIGHTS, LENGTH_BONUSES) if has_language else ((0.0,), (0.0,))
    words = WORD_WEIGHTS if has_words else (0.0,)
    points = [DecodingWeights(*values) for values in itertools.product(languages, words, bonuses)]
    rounds = math.ceil(math.log(max(len(points) / FINALISTS, 1), KEPT) - 1e-9)
    for every in [KEPT**number for number in range(rounds, -1, -1)]:
        step = min(every, max(len(labels) // FEWEST_LINES, 1))
        errors = {point: int(edit_distances(labels[::step], read(point, step)).sum()) for point in points}
        points.sort(key=errors.__getitem__)
        if every > 1:
            points = list(dict.fromkeys([*points[: len(points) // KEPT], DecodingWeights()]))
    return points[0]


def evenly_chosen(count: int, most: int) -> NDArray[np.int64]:
    """At most so many positions, spread evenly over a split."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
