"""Recipes: what train_args name. A recipe holds checked arguments and is built, with Keras, when training begins.

A name stands for a subclass, or for a function that is annotated to return one; nothing else is called.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from text_recognizer.datasets.base import DataSpec

if TYPE_CHECKING:
    import keras

    Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


class OptimizerRecipe(ABC):
    """An optimizer before it is built.

    Attributes:
        usual_learning_rate: taken when train_args give none.
    """

    usual_learning_rate: float

    @abstractmethod
    def build(
        self,
        learning_rate: "float | keras.optimizers.schedules.LearningRateSchedule",
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> "keras.optimizers.Optimizer": ...


class ScheduleRecipe(ABC):
    """How the learning rate changes while training.

    Attributes:
        counts_steps: the rate follows the number of steps, whatever their total. The others follow the clock where a
            training has a time (`train_args.minutes`).
    """

    counts_steps: ClassVar[bool] = False

    @abstractmethod
    def build(self, learning_rate: float, total_steps: int) -> "Rate": ...


class AugmentationRecipe(ABC):
    """Random changes of training images."""

    @abstractmethod
    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """A layer from the columns of a batch that it names in `columns` to the same columns, changed."""
