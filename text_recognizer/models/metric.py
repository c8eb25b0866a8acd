"""Metric: what a model is measured by, and whether more of it is better."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of each sample (B,): what is counted, and out of how much. Sums over batches come first, the ratio last.
Counts = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Metric:
    """A rate: the sum of its parts over the sum of its wholes.

    Args:
        name: its key in metrics.jsonl, where the split comes before it: "val_accuracy".
        larger_is_better: its direction; weights are chosen and training is stopped by it.
        shown: whether the line that is printed after each epoch has it.
        other_name: of the same figure in the literature.
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
    """Whether each sample (B,) is right, out of one."""
    return right.astype(np.float64), np.ones(len(right))
