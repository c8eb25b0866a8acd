"""All metrics in one place: of characters from labels and probabilities, of lines from texts and readings."""

from evaluation.character_metrics import (
    ClassFigures,
    accuracy,
    class_figures,
    confusion_matrix,
    top_k_accuracy,
)
from evaluation.intervals import bootstrap_intervals, rate_intervals, wilson_interval
from evaluation.line_metrics import (
    PROFILES,
    LineFigures,
    confusions,
    corpus_figures,
    flor2020_rates,
    fsdl_rates,
    pooled_rates,
    positional_rates,
    profile_figures,
)
from text_recognizer.decoding.edits import LineErrors
from text_recognizer.models.character import rank_of_label

__all__ = [
    "PROFILES",
    "ClassFigures",
    "LineErrors",
    "LineFigures",
    "accuracy",
    "bootstrap_intervals",
    "class_figures",
    "confusion_matrix",
    "confusions",
    "corpus_figures",
    "flor2020_rates",
    "fsdl_rates",
    "pooled_rates",
    "positional_rates",
    "profile_figures",
    "rank_of_label",
    "rate_intervals",
    "top_k_accuracy",
    "wilson_interval",
]
