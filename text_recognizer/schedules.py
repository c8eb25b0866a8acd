"""Learning rate schedules by name, built for a given rate and number of steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from text_recognizer.recipes import ScheduleRecipe

if TYPE_CHECKING:
    from text_recognizer.recipes import Rate


@dataclass(frozen=True)
class Constant(ScheduleRecipe):
    """The same rate throughout."""

    def build(self, learning_rate: float, total_steps: int) -> "Rate":  # noqa: ARG002 - one interface for all
        return learning_rate


@dataclass(frozen=True)
class Cosine(ScheduleRecipe):
    """A half cosine from the rate down to a fraction of it, after a linear warm-up.

    Source: Loshchilov and Hutter (2017), "SGDR", without restarts.

    Args:
        warmup_fraction: share of the training during which the rate rises from 0.
        final_fraction: fraction of the rate at the end.
    """

    warmup_fraction: Annotated[float, Ge(0), Lt(1)] = 0.0
    final_fraction: Annotated[float, Ge(0), Le(1)] = 0.0

    def build(self, learning_rate: float, total_steps: int) -> "Rate":
        import keras

        warmup_steps = round(self.warmup_fraction * total_steps)
        warmup = {"warmup_target": learning_rate, "warmup_steps": warmup_steps} if warmup_steps else {}
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else learning_rate,
            decay_steps=max(1, total_steps - warmup_steps),
            alpha=self.final_fraction,
            **warmup,
        )


@dataclass(frozen=True)
class Exponential(ScheduleRecipe):
    """The rate multiplied by a factor every `decay_steps` steps.

    Args:
        decay_rate: the factor.
        decay_steps: optimizer steps after which the rate has been multiplied by the full factor.
        staircase: multiply at once after these steps; false does it gradually.
    """

    counts_steps: ClassVar[bool] = True

    decay_rate: Annotated[float, Gt(0), Le(1)] = 0.97
    decay_steps: Annotated[int, Ge(1)] = 2000
    staircase: bool = True

    def build(self, learning_rate: float, total_steps: int) -> "Rate":  # noqa: ARG002 - one interface for all
        import keras

        return keras.optimizers.schedules.ExponentialDecay(
            learning_rate, self.decay_steps, self.decay_rate, staircase=self.staircase
        )


@dataclass(frozen=True)
class ReduceOnPlateau(Constant):
    """The same rate until the monitored metric stalls; then a fraction of it. The training loop applies it.

    Args:
        factor: factor by which the rate is multiplied.
        patience: epochs without a better value before that.
        min_delta: a value counts as better if it is better by more than this.
        min_learning_rate: the rate never falls below it.
    """

    factor: Annotated[float, Gt(0), Lt(1)] = 0.2
    patience: Annotated[int, Ge(1)] = 5
    min_delta: Annotated[float, Ge(0)] = 1e-4
    min_learning_rate: Annotated[float, Ge(0)] = 0.0

    @property
    def on_plateau(self) -> "ReduceOnPlateau":
        return self
