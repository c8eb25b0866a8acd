"""Predictors: read images with a bundle."""

from text_recognizer.predictors.character import CharacterPredictor
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.paragraph import PageReading, ParagraphTextRecognizer

__all__ = ["CharacterPredictor", "LinePredictor", "PageReading", "ParagraphTextRecognizer"]
