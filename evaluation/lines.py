"""What else there is to say of text lines: error rates by other profiles, and the commonest confusions."""

from typing import Any

from evaluation.line_metrics import PROFILES, confusions, corpus_figures, profile_figures
from text_recognizer.datasets.base import Split
from text_recognizer.decoding.edits import LineErrors
from text_recognizer.models.base import Model


def extras(model: Model, split: Split, rows: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG001 - as of characters
    """By which profile the error rates are defined, what their intervals rest on, and the rates of other profiles."""
    texts, readings = [row["label"] for row in rows], [row["predicted"] for row in rows]
    errors = LineErrors.of(texts, readings)
    figures, by_line = corpus_figures(errors, split.groups), corpus_figures(errors)
    return {
        "confusions": confusions(texts, readings),
        "details": {
            "profile": figures.profile,
            "resampled": figures.resampled,
            "intervals_95_over_lines": {name: list(interval) for name, interval in by_line.intervals.items()},
            "profiles": {name: profile_figures(name, texts, readings).rates for name in PROFILES},
        },
    }
