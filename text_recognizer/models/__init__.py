"""Models: a network plus loss, decoding and prediction."""

from text_recognizer.models.base import Model, Prediction, ScoredBatch
from text_recognizer.models.metric import Counts, Metric

__all__ = ["Counts", "Metric", "Model", "Prediction", "ScoredBatch"]
