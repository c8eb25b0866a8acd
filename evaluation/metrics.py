"""All metrics in one place: of characters from labels and probabilities, of lines from texts and readings."""

from evaluation.character_metrics import (
    ClassFigures,
    accuracy,
    class_figures,
    confusion_matrix,
    rank_of_label,
    top_k_accuracy,
    wilson_interval,
)
from evaluation.line_metrics import (
    PROFILES,
    LineErrors,
    LineFigures,
    bootstrap_intervals,
    confusions,
    corpus_figures,
    flor2020_rates,
    fsdl_rates,
    pooled_rates,
    positional_rates,
    profile_figures,
)

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
    "top_k_accuracy",
    "wilson_interval",
]
