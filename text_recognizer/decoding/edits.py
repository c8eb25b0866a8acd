"""Edit distances between readings and texts, in characters and words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATES = ("character_error_rate", "word_error_rate", "sentence_error_rate")


def line_errors(texts: Sequence[str], readings: Sequence[str]) -> NDArray[np.float64]:
    """(n, 3, 2) errors and totals of characters, words and lines in each line; pooled rates divide their sums.

    Compared as given: no stripping, no case folding. Errors are the fewest insertions, deletions and substitutions that
    turn the reading into the text; words are separated by white space. A line is wrong if it differs at all.

    Raises:
        ValueError: the numbers of texts and readings differ.
    """
    if len(texts) != len(readings):
        raise ValueError(f"expected a reading for each of {len(texts)} texts. Received: {len(readings)}.")
    words = [[text.split() for text in side] for side in (texts, readings)]
    wrong = [text != reading for text, reading in zip(texts, readings, strict=True)]
    errors = (edit_distances(texts, readings), edit_distances(*words), wrong)
    totals = (list(map(len, texts)), list(map(len, words[0])), [1] * len(texts))
    return np.array([errors, totals], np.float64).transpose(2, 1, 0)


def edit_distances(texts: Sequence[Any], readings: Sequence[Any]) -> NDArray[np.int64]:
    """(n,) Levenshtein distances of pairs."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    if not len(texts):
        return np.zeros(0, np.int64)
    return cpdist(texts, readings, scorer=Levenshtein.distance, dtype=np.int64)
