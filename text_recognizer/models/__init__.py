"""Models: a network plus loss, decoding and prediction."""

from text_recognizer.models.base import Model, ScoredBatch
from text_recognizer.models.metric import Counts, Metric
from text_recognizer.models.prediction import Prediction

__all__ = ["Counts", "Metric", "Model", "Prediction", "ScoredBatch"]
