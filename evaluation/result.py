"""Evaluation: the results of a model on a split."""

import math
from dataclasses import dataclass, field
from typing import Any

from text_recognizer.wording import counted


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on a split.

    Args:
        split: name of the split.
        count: number of samples.
        metrics: by name; "loss" is the mean over samples.
        intervals: 95 % intervals of the metrics that are rates.
        classes: metrics of each class; see evaluation.characters.
        confusions: the most frequent errors: (label, predicted, count).
        predictions: one row per sample, as written to predictions.jsonl: "position", "label", "predicted",
            "confidence" and "loss", and further fields of its kind of sample.
        unit: what a sample is called.
        headline_metric: the metric shown where there is room for only one.
        details: further results for this kind of sample.
        times: seconds of the whole training ("training_s"), of an epoch ("epoch_s") and of this evaluation
            ("evaluation_s"); milliseconds of reading and scoring a sample ("sample_ms").
        summary: the network's layers: "type", "output_shape" (null for an axis that varies), "parameters".
    """

    split: str
    count: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    classes: list[dict[str, Any]] = field(default_factory=list)
    confusions: list[tuple[str, str, int]] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    unit: str = "image"
    headline_metric: str = "loss"
    details: dict[str, Any] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    summary: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything but the predictions; undefined values as null."""
        return {
            "split": self.split,
            "count": self.count,
            "metrics": {name: value if math.isfinite(value) else None for name, value in self.metrics.items()},
            "intervals_95": {name: list(interval) for name, interval in self.intervals.items()},
            "classes": self.classes,
            "confusions": [{"label": a, "predicted": b, "count": count} for a, b, count in self.confusions],
            **({} if self.unit == "image" else {"unit": self.unit}),
            **self.details,
            "times": {name: round(value, 3) for name, value in self.times.items()},
            "summary": self.summary,
        }

    def headline(self) -> str:
        """The main metric as text, with its interval."""
        name = self.headline_metric
        text = f"{self.split} {name.replace('_', ' ')} {self.metrics[name]:.4f}"
        if name in self.intervals:
            low, high = self.intervals[name]
            text += f" (95 % interval {low:.4f} to {high:.4f}, {counted(self.count, self.unit)})"
        if "profile" in self.details:
            text += f", {self.details['profile']} profile, interval over {self.details['resampled']}"
        return text
