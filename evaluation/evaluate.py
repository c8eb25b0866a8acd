"""Evaluation of a model on one split: metrics with intervals, and all predictions."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import characters, lines
from evaluation.confidence import confidence_figures
from evaluation.intervals import rate_intervals
from evaluation.result import Evaluation
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model, ScoredBatch, check_counts
from text_recognizer.models.metric import Counts
from text_recognizer.whole_files import replace_file

__all__ = ["Evaluation", "evaluate", "measure", "write_evaluation"]

# Further fields of an Evaluation, by DataSpec.target.
EXTRAS: dict[str, Callable[[Model, Split, list[dict[str, Any]]], dict[str, Any]]] = {
    "character": characters.extras,
    "line": lines.extras,
}


class Tally:
    """Accumulates losses and metrics over the batches of a split, of all or chosen positions."""

    def __init__(self, model: Model, split: Split, chosen: NDArray[np.integer[Any]] | None = None) -> None:
        self._model = model
        self._chosen = np.arange(len(split)) if chosen is None else chosen
        self._names = [metric.name for metric in model.metrics]
        self._learnable = self._chosen[model.can_be_learnt(split)[self._chosen]]
        self._losses = np.full(len(split), math.nan)
        self._parts = np.zeros((len(split), len(self._names), 2))

    def add(self, scored: ScoredBatch, counts: dict[str, Counts]) -> None:
        """Adds a batch. Raises SpecError: the model's counts do not match the metrics it declares."""
        check_counts(self._model, counts, len(scored.positions))
        self._losses[scored.positions] = scored.losses
        for place, name in enumerate(self._names):
            self._parts[scored.positions, place] = np.stack(counts[name], axis=-1)

    @property
    def metrics(self) -> dict[str, float]:
        """The mean loss over trainable samples, and every metric as a ratio of sums."""
        losses = self._losses[self._learnable]
        totals = zip(self._names, self._parts.sum(axis=0).tolist(), strict=True)
        rates = {name: part / whole if whole else math.nan for name, (part, whole) in totals}
        return {"loss": float(np.mean(losses)) if len(losses) else math.nan} | rates

    def intervals(self, groups: Sequence[str] | None) -> dict[str, tuple[float, float]]:
        """95 % intervals of the metrics that have a value."""
        chosen_groups = None if groups is None else [groups[position] for position in self._chosen.tolist()]
        intervals = rate_intervals(self._parts[self._chosen], chosen_groups) if self._names else []
        return {name: pair for name, pair in zip(self._names, intervals, strict=True) if math.isfinite(pair[0])}


def measure(model: Model, split: Split) -> dict[str, float]:
    """Only the loss and the metrics of a split; cheap enough for every epoch."""
    tally = Tally(model, split)
    for scored in model.score(split):
        tally.add(scored, model.counts(scored))
    return tally.metrics


def evaluate(model: Model, split: Split, split_name: str, chosen: NDArray[np.integer[Any]] | None = None) -> Evaluation:
    """All metrics and predictions of a model on a split, or on chosen positions of it."""
    started = time.perf_counter()
    tally = Tally(model, split, chosen)
    rows = prediction_rows(model, split, chosen, tally)
    elapsed_s = time.perf_counter() - started
    extras = EXTRAS[model.target](model, split, rows) if model.target in EXTRAS else {}
    if model.target in EXTRAS:
        extras["details"] = extras.get("details", {}) | confidence_figures(rows, model.unit)
    return Evaluation(
        split=split_name,
        count=len(rows),
        metrics=tally.metrics,
        intervals=tally.intervals(split.groups),
        predictions=rows,
        unit=model.unit,
        headline_metric=model.metrics[0].name if model.metrics else "loss",
        times={"evaluation_s": elapsed_s, "sample_ms": 1000 * elapsed_s / max(1, len(rows))},
        summary=list(_layers(model.keras_model)),
        **extras,
    )


def _layers(network: Any) -> Iterator[dict[str, Any]]:
    """The layers of a Keras model, including those of nested models."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
            continue
        shape = getattr(getattr(layer, "output", None), "shape", None)  # a layer that is called twice has none
        parameters = sum(math.prod(weight.shape) for weight in layer.weights)  # a layer that is never called has none
        yield {"type": type(layer).__name__, "output_shape": shape and list(shape[1:]), "parameters": parameters}


def prediction_rows(
    model: Model, split: Split, chosen: NDArray[np.integer[Any]] | None = None, tally: Tally | None = None
) -> list[dict[str, Any]]:
    """Rows of predictions.jsonl: the reading of each sample of a split, or of each chosen one, in order."""
    rows = {}
    names = split.ids
    for scored in model.score(split, chosen):
        readings = model.readings(scored.outputs, scored.batch.get("width"))
        if tally is not None:
            tally.add(scored, model.counts(scored, readings))
        details = model.detailed(scored, readings)
        columns = zip(scored.positions.tolist(), readings, scored.losses.tolist(), details, strict=True)
        for position, reading, loss, more in columns:
            rows[position] = {
                "position": position,
                **({} if names is None else {"id": names[position]}),
                "label": scored.split.text(position),
                "predicted": reading.text,
                "confidence": float(f"{reading.confidence:.6g}"),  # a whole line's confidence may be tiny
                "loss": round(loss, 6),
                **more,
            }
    return [rows[position] for position in sorted(rows)]


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Writes evaluation.json and predictions.jsonl, flushed to disk."""
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in evaluation.predictions)
    replace_file(folder / "predictions.jsonl", rows)
    replace_file(folder / "evaluation.json", evaluation_text(evaluation.to_json()))


def evaluation_text(figures: dict[str, Any]) -> str:
    """An evaluation as readable JSON: each row of a table on one line."""
    parts = []
    for name, value in figures.items():
        text = json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in value) + "\n  ]"
        parts.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
