"""Metric: a measure of a model, and whether larger is better."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# For each sample (B,): numerator and denominator. Both are summed over batches before the division.
Counts = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Metric:
    """A rate: the sum of its parts over the sum of its wholes.

    Args:
        name: its key in metrics.jsonl, where it is prefixed by the split: "val_accuracy".
        larger_is_better: its direction, for selecting weights and early stopping.
        shown: whether it is printed after each epoch.
        other_name: name of the same metric in the literature.
    """

    name: str
    larger_is_better: bool = False
    shown: bool = True
    other_name: str = ""

    def improves(self, value: float, best: float | None, min_delta: float = 0.0) -> bool:
        """Whether a value is better than the best so far, by more than `min_delta`; NaN never is."""
        if value != value:
            return False
        if best is None:
            return True
        return value > best + min_delta if self.larger_is_better else value < best - min_delta


LOSS = Metric("loss")


def counts_of(right: NDArray[np.bool_]) -> Counts:
    """Counts for each sample (B,): 1 of 1 if it is right, else 0 of 1."""
    return right.astype(np.float64), np.ones(len(right))
