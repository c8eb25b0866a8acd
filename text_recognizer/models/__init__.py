"""Models: a network plus loss, decoding and prediction."""

from text_recognizer.models.base import Model, Prediction

__all__ = ["Model", "Prediction"]
