"""WeightAverages: running averages of the trainable weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class WeightAverages:
    """Exponential moving averages of a network's weights; inactive without a decay.

    Source: Polyak and Juditsky (1992), "Acceleration of Stochastic Approximation by Averaging". The decay begins at 0.1
    and rises with the steps, so that the random initial weights are forgotten.

    Args:
        weights: trainable Keras variables.
        decay: share of an average that one step keeps.
    """

    def __init__(self, weights: Sequence[Any], decay: float | None) -> None:
        import keras

        self._weights = weights if decay else ()
        self._decay = decay
        self._averages = [keras.Variable(weight, trainable=False, name="average") for weight in self._weights]
        self._steps = [keras.Variable(0.0, trainable=False, name="average_steps")] if decay else []

    @property
    def variables(self) -> list[Any]:
        """The variables for a checkpoint."""
        return [*self._steps, *self._averages]

    def update(self) -> None:
        """Updates the averages after a training step; part of the graph."""
        import keras

        for steps in self._steps:
            rest = 1 - keras.ops.minimum(self._decay, (1 + steps) / (10 + steps))
            for average, weight in zip(self._averages, self._weights, strict=True):
                average.assign_add(rest * (weight - average))
            steps.assign_add(1.0)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The network has the averages within the block, then its own weights again."""
        import keras

        own = [keras.ops.convert_to_numpy(weight) for weight in self._weights]
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average)
        try:
            yield
        finally:
            for weight, value in zip(self._weights, own, strict=True):
                weight.assign(value)
