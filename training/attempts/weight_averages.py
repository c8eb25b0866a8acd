"""WeightAverages: running averages of the weights that are trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class WeightAverages:
    """Exponential running averages of a network's weights; nothing at all without a decay.

    Source: Polyak and Juditsky (1992), "Acceleration of Stochastic Approximation by Averaging". The decay begins at 0.1
    and rises with the steps, so that random first weights are forgotten.

    Args:
        weights: Keras variables that are trained.
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
        """What a checkpoint must hold."""
        return [*self._steps, *self._averages]

    def update(self) -> None:
        """Takes in the weights after a training step; part of the graph."""
        import keras

        for steps in self._steps:
            rest = 1 - keras.ops.minimum(self._decay, (1 + steps) / (10 + steps))
            for average, weight in zip(self._averages, self._weights, strict=True):
                average.assign_add(rest * (weight - average))
            steps.assign_add(1.0)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The network has the averages while this lasts, then its own weights again."""
        import keras

        own = [keras.ops.convert_to_numpy(weight) for weight in self._weights]
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average)
        try:
            yield
        finally:
            for weight, value in zip(self._weights, own, strict=True):
                weight.assign(value)
