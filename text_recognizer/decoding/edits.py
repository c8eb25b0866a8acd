"""Edit distances between readings and texts, in characters and words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATES = ("character_error_rate", "word_error_rate", "sentence_error_rate")


@dataclass(frozen=True)
class LineErrors:
    """Edits of each line, (n,) each.

    Args:
        character_errors, word_errors: fewest insertions, deletions and substitutions that turn the reading into the
            text.
        characters, words: lengths of the text. Words are separated by white space.
        wrong: whether reading and text differ.
    """

    character_errors: NDArray[np.int64]
    characters: NDArray[np.int64]
    word_errors: NDArray[np.int64]
    words: NDArray[np.int64]
    wrong: NDArray[np.bool_]

    @classmethod
    def of(cls, texts: Sequence[str], readings: Sequence[str]) -> "LineErrors":
        """Compares as given: no stripping, no case folding. Raises ValueError: the numbers differ."""
        if len(texts) != len(readings):
            raise ValueError(f"expected a reading for each of {len(texts)} texts. Received: {len(readings)}.")
        text_words, reading_words = [text.split() for text in texts], [reading.split() for reading in readings]
        # Each word becomes one character, so that words are compared as fast as characters.
        symbols = {word: chr(0x10000 + number) for number, word in enumerate({w for ws in text_words for w in ws})}
        other = chr(0xE000)  # for words that occur in no text
        coded = [
            ["".join(symbols.get(one, other) for one in ws) for ws in side] for side in (text_words, reading_words)
        ]
        return cls(
            character_errors=edit_distances(texts, readings),
            characters=np.fromiter(map(len, texts), np.int64, len(texts)),
            word_errors=edit_distances(*coded),
            words=np.fromiter(map(len, text_words), np.int64, len(texts)),
            wrong=np.fromiter((a != b for a, b in zip(texts, readings, strict=True)), np.bool_, len(texts)),
        )

    @property
    def parts(self) -> NDArray[np.float64]:
        """(n, 3, 2) errors and totals of characters, words and lines."""
        errors = (self.character_errors, self.word_errors, self.wrong)
        wholes = (self.characters, self.words, np.ones(len(self.wrong)))
        return np.array([errors, wholes], np.float64).transpose(2, 1, 0)


def edit_distances(texts: Sequence[Any], readings: Sequence[Any]) -> NDArray[np.int64]:
    """(n,) Levenshtein distances of pairs."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    if not len(texts):
        return np.zeros(0, np.int64)
    return cpdist(texts, readings, scorer=Levenshtein.distance, dtype=np.int64)
