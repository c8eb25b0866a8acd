"""Prediction: what a model reads in one image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """What a model reads in one image.

    Args:
        text: the best reading.
        confidence: its probability by the model, 0 to 1.
        alternatives: the best readings with their probabilities, best first, `text` included.
        characters: of a line, each character from left to right with its own confidence and place.
    """

    text: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()
    characters: tuple["ReadCharacter", ...] = ()


@dataclass(frozen=True)
class ReadCharacter:
    """One character of a line's reading.

    Args:
        confidence: its probability by the model, 0 to 1, where the model is surest of it.
        left_px, right_px: where in the line it was seen; exact to a frame.
    """

    text: str
    confidence: float
    left_px: int
    right_px: int
