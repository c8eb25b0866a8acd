"""What is added up over the batches of a split: losses, and the parts and wholes of every metric."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.intervals import rate_intervals
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model, ScoredBatch, check_counted
from text_recognizer.models.metric import Counts


class Tally:
    """The counts of every sample of a split."""

    def __init__(self, model: Model, split: Split) -> None:
        self._model = model
        self._names = [metric.name for metric in model.metrics]
        self._trainable = model.trainable(split)
        self._losses = np.full(len(split), math.nan)
        self._parts = np.zeros((len(split), len(self._names), 2))

    def add(self, scored: ScoredBatch, counts: dict[str, Counts]) -> None:
        """
        Raises:
            SpecError: the model counts something else than the metrics it declares.
        """
        check_counted(self._model, "counts", counts, self._names)
        self._losses[scored.positions] = scored.losses
        for place, name in enumerate(self._names):
            self._parts[scored.positions, place] = np.stack(counts[name], axis=-1)

    @property
    def metrics(self) -> dict[str, float]:
        """The loss, and every metric: parts and wholes are added up first, the ratio is taken last."""
        totals = self._parts.sum(axis=0)
        rates = {
            name: part / whole if whole else math.nan
            for name, (part, whole) in zip(self._names, totals.tolist(), strict=True)
        }
        return {"loss": self._loss} | rates

    def intervals(self, groups: Sequence[str] | None) -> dict[str, tuple[float, float]]:
        """95 % intervals of the metrics that have a value."""
        intervals = rate_intervals(self._parts, groups) if self._names else []
        return {name: pair for name, pair in zip(self._names, intervals, strict=True) if math.isfinite(pair[0])}

    @property
    def _loss(self) -> float:
        """The mean over samples that can be learnt: of the others, no model could be blamed."""
        losses: NDArray[np.float64] = self._losses[self._trainable]
        return float(np.mean(losses)) if len(losses) else math.nan
