"""Prediction: what a model reads in one image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from text_recognizer.reading_order import has_right_to_left, logical_order, runs_right_to_left


@dataclass(frozen=True)
class Prediction:
    """The reading of one image.

    Args:
        text: the best reading.
        confidence: the probability that all of it is right, 0 to 1.
        alternatives: the best readings with their probabilities, best first, `text` included.
        characters: of a line, each character from left to right with its own confidence and place.
        words: of a line, in the order in which they are read; what white space parts.
        expected_cer: of a line, the character error rate of readings with such confidences; None where the bundle
            holds no calibration.
    """

    text: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()
    characters: tuple["ReadPart", ...] = ()
    words: tuple["ReadPart", ...] = ()
    expected_cer: float | None = None

    @property
    def sureness(self) -> float:
        """The confidence for each character, by which readings of different lengths compare."""
        return float(self.confidence ** (1 / max(1, len(self.text))))


@dataclass(frozen=True)
class ReadPart:
    """One character or word of a line's reading.

    Args:
        confidence: the probability that it is right, 0 to 1.
        left_px, right_px: where in the line it was seen; exact to a frame.
    """

    text: str
    confidence: float
    left_px: int
    right_px: int


def words_of(characters: Sequence[ReadPart]) -> tuple[ReadPart, ...]:
    """The words that characters from left to right spell, in the order in which they are read.

    A word is right when its characters are, and those around it that part it from its neighbours.
    """
    words, start = [], 0
    for end in range(len(characters) + 1):
        if end < len(characters) and not characters[end].text.isspace():
            continue
        if end > start:
            word = characters[start:end]
            confidence = math.prod(one.confidence for one in characters[max(start - 1, 0) : end + 1])
            text = logical_order("".join(one.text for one in word))
            words.append(ReadPart(text, confidence, word[0].left_px, word[-1].right_px))
        start = end + 1
    line = "".join(one.text for one in characters)
    turned = has_right_to_left(line) and runs_right_to_left(line)
    return tuple(reversed(words) if turned else words)
