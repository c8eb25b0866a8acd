"""Weights of scorers, chosen by the errors that readings of validation lines then have."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.decoding.edits import edit_distances

LANGUAGE_WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
WORD_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
LENGTH_BONUSES = (0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class DecodingWeights:
    """How much what else is known counts beside the image.

    Args:
        language: of the language model's log-probabilities.
        words: log-probability lost for a word that is not in the lexicon.
        length: log-probability gained for each character: language models favour short texts.
    """

    language: float = 0.0
    words: float = 0.0
    length: float = 0.0


def tune_weights(
    read: Callable[[DecodingWeights], Sequence[Sequence[Any]]],
    labels: Sequence[Sequence[Any]],
    has_language: bool,
    has_words: bool,
) -> DecodingWeights:
    """The weights with the fewest edits, searched one kind at a time, twice over; zero for all is among those tried.

    Args:
        read: all lines read with certain weights.
        labels: what the lines say.
    """

    @functools.cache
    def errors_with(weights: DecodingWeights) -> int:
        return int(edit_distances(labels, read(weights)).sum())

    grids: dict[str, tuple[float, ...]] = {}
    if has_language:
        grids |= {"language": LANGUAGE_WEIGHTS, "length": LENGTH_BONUSES}
    if has_words:
        grids["words"] = WORD_WEIGHTS
    best = DecodingWeights()
    for _ in range(2):
        for name, values in grids.items():
            best = min((replace(best, **{name: value}) for value in values), key=errors_with)
    return best


def evenly_chosen(count: int, most: int) -> NDArray[np.int64]:
    """At most so many positions of a split, from all over it."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
