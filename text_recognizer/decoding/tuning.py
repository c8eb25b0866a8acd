"""Weights of scorers, chosen by the errors that readings of validation lines then have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Tuned:
    """The best weights, and what every weight that was tried led to.

    Args:
        errors: edits over all lines, by the weights tried.
    """

    weights: DecodingWeights
    errors: dict[DecodingWeights, int]


def tune_weights(
    read: Callable[[DecodingWeights], Sequence[Sequence[Any]]],
    labels: Sequence[Sequence[Any]],
    has_language: bool,
    has_words: bool,
) -> Tuned:
    """Searches weights one kind at a time, twice over; weights of nothing but zero are among those tried.

    Args:
        read: all lines read with certain weights.
        labels: what the lines say.
    """
    from rapidfuzz.distance import Levenshtein

    errors: dict[DecodingWeights, int] = {}

    def errors_with(weights: DecodingWeights) -> int:
        if weights not in errors:
            readings = read(weights)
            errors[weights] = sum(
                Levenshtein.distance(label, reading) for label, reading in zip(labels, readings, strict=True)
            )
        return errors[weights]

    grids: dict[str, tuple[float, ...]] = {}
    if has_language:
        grids |= {"language": LANGUAGE_WEIGHTS, "length": LENGTH_BONUSES}
    if has_words:
        grids["words"] = WORD_WEIGHTS
    best = DecodingWeights()
    errors_with(best)
    for _ in range(2):
        for name, values in grids.items():
            best = min((replace(best, **{name: value}) for value in values), key=errors_with)
    return Tuned(best, errors)


def evenly_chosen(count: int, most: int) -> NDArray[np.int64]:
    """At most so many positions of a split, from all over it."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
