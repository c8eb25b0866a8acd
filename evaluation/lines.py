"""Evaluation of models that read text lines."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.line_metrics import PROFILES, LineErrors, confusions, corpus_figures, pooled_rates, profile_figures
from evaluation.result import Evaluation
from text_recognizer.datasets.base import Split
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.models.base import Model, ScoredBatch
from text_recognizer.models.lines import ReadsLines


def measure(model: Model, split: Split) -> dict[str, float]:
    """The loss, the pooled error rates, and what the model says of its outputs."""
    model, lines = _checked(model, split)
    totals = _Totals(model.trainable(lines))
    readings = [""] * len(lines)
    for scored in model.score(lines):
        totals.add(model, scored)
        texts = model.texts(scored.outputs, scored.batch["width"])
        for position, text in zip(scored.positions.tolist(), texts, strict=True):
            readings[position] = text
    return {"loss": totals.loss} | pooled_rates(LineErrors.of(lines.texts, readings)) | totals.shares


def evaluate(model: Model, split: Split, split_name: str) -> Evaluation:
    """Error rates with intervals, by every profile, the commonest confusions, and every reading."""
    model, lines = _checked(model, split)
    totals = _Totals(model.trainable(lines))
    readings, confidences = [""] * len(lines), np.zeros(len(lines))
    for scored in model.score(lines):
        totals.add(model, scored)
        predictions = model.decode(scored.outputs, scored.batch["width"])
        for position, prediction in zip(scored.positions.tolist(), predictions, strict=True):
            readings[position] = prediction.text
            confidences[position] = prediction.confidence
    texts = lines.texts
    errors = LineErrors.of(texts, readings)
    figures, by_line = corpus_figures(errors, lines.groups), corpus_figures(errors)
    return Evaluation(
        split=split_name,
        count=len(lines),
        metrics={"loss": totals.loss} | figures.rates | totals.shares,
        intervals=figures.intervals,
        confusions=confusions(texts, readings),
        predictions=list(_rows(lines, readings, confidences, totals.losses, errors)),
        unit="line",
        details={
            "profile": figures.profile,
            "resampled": figures.resampled,
            "intervals_95_over_lines": {name: list(interval) for name, interval in by_line.intervals.items()},
            "profiles": {name: profile_figures(name, texts, readings).rates for name in PROFILES},
        },
    )


@dataclass
class _Totals:
    """What is added up over batches."""

    possible: NDArray[np.bool_]  # (n,) whose text fits into their frames
    losses: NDArray[np.float64] = field(init=False)
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.losses = np.full(len(self.possible), math.nan)

    def add(self, model: ReadsLines, scored: ScoredBatch) -> None:
        self.losses[scored.positions] = scored.losses
        for name, (part, whole) in model.diagnostics(scored).items():
            before = self.parts.get(name, (0.0, 0.0))
            self.parts[name] = (before[0] + part, before[1] + whole)

    @property
    def loss(self) -> float:
        """The mean over lines whose text fits into their frames: of the others, no reader could be blamed."""
        return float(np.mean(self.losses[self.possible])) if self.possible.any() else math.nan

    @property
    def shares(self) -> dict[str, float]:
        return {name: part / whole if whole else math.nan for name, (part, whole) in self.parts.items()}


def _checked(model: Model, split: Split) -> tuple[ReadsLines, LineSplit]:
    assert isinstance(model, ReadsLines)
    assert isinstance(split, LineSplit)
    return model, split


def _rows(
    lines: LineSplit,
    readings: list[str],
    confidences: NDArray[np.float64],
    losses: NDArray[np.float64],
    errors: LineErrors,
) -> Iterator[dict[str, Any]]:
    for position, (name, text) in enumerate(zip(lines.ids, lines.texts, strict=True)):
        yield {
            "position": position,
            "id": name,
            "label": text,
            "predicted": readings[position],
            "confidence": float(f"{confidences[position]:.6g}"),  # that of a whole line may be tiny
            "loss": round(float(losses[position]), 6),
            "char_errors": int(errors.character_errors[position]),
            "word_errors": int(errors.word_errors[position]),
        }
