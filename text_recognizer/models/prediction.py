"""Prediction: a model's reading of one image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

from text_recognizer.errors import SpecError
from text_recognizer.reading_order import has_right_to_left, logical_units
from text_recognizer.wording import received


@dataclass(frozen=True)
class Prediction:
    """The reading of one image.

    Args:
        text: the best reading.
        confidence: the probability that all of it is right, 0 to 1.
        alternatives: the best readings with their probabilities, best first, `text` included.
        characters: for a line, each character with its confidence and position, in reading order. `Model.decode`
            returns them from left to right.
        words: for a line, the words in reading order, separated by white space.
        expected_cer: for a line, the expected character error rate of readings with such confidences; None if the
            bundle has no calibration.
    """

    text: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()
    characters: tuple["ReadPart", ...] = ()
    words: tuple["ReadPart", ...] = ()
    expected_cer: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not isinstance(self.confidence, Real):
            given = received((self.text, self.confidence))
            raise SpecError(f"a Prediction needs a text and its confidence, which is a number. {given}")

    @property
    def sureness(self) -> float:
        """The confidence per character, to compare readings of different lengths."""
        return float(self.confidence ** (1 / max(1, len(self.text))))


@dataclass(frozen=True)
class ReadPart:
    """One character or word of a line's reading.

    Args:
        confidence: the probability that it is right, 0 to 1.
        left_px, right_px: its position in the line, exact to a frame.
    """

    text: str
    confidence: float
    left_px: int
    right_px: int


def in_reading_order(characters: Sequence[ReadPart]) -> tuple[ReadPart, ...]:
    """Converts characters from left to right to reading order."""
    line = "".join(one.text for one in characters)
    if not has_right_to_left(line):
        return tuple(characters)
    owners = [number for number, one in enumerate(characters) for _ in one.text]
    texts: dict[int, str] = {}
    for start, unit in logical_units(line):
        for place, letter in enumerate(unit, start):
            texts[owners[place]] = texts.get(owners[place], "") + letter
    return tuple(replace(characters[number], text=text) for number, text in texts.items())


def words_of(characters: Sequence[ReadPart]) -> tuple[ReadPart, ...]:
    """The words that characters spell, both in the order in which they are read.

    A word is right if its characters and the separators around it are right.
    """
    words, start = [], 0
    for end in range(len(characters) + 1):
        if end < len(characters) and not characters[end].text.isspace():
            continue
        if end > start:
            word = characters[start:end]
            confidence = math.prod(one.confidence for one in characters[max(start - 1, 0) : end + 1])
            left_px, right_px = min(one.left_px for one in word), max(one.right_px for one in word)
            words.append(ReadPart("".join(one.text for one in word), confidence, left_px, right_px))
        start = end + 1
    return tuple(words)
