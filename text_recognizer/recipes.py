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
    ) -> "keras.optimizers.Optimizer":
        """The optimizer; None leaves decay and clipping out. The norm is that of all gradients together."""


class ScheduleRecipe(ABC):
    """How the learning rate changes during training.

    Attributes:
        counts_steps: the rate follows the number of steps, whatever their total. The others follow the clock where a
            training has a time (`train_args.minutes`).
    """

    counts_steps: ClassVar[bool] = False

    @abstractmethod
    def build(self, learning_rate: float, total_steps: int) -> "Rate":
        """A constant rate, or a function of the step from 0 on; `total_steps` are those of the whole training."""


class AugmentationRecipe(ABC):
    """Random changes of training images."""

    @abstractmethod
    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """A layer of Keras that changes images, called with `training=True`.

        It gets the images (B, H, W, C), uint8, and returns as many of the same type; or, where it has an attribute
        `columns`, these columns of a batch: as one argument each, and as a tuple if there are several. Its random
        numbers come from a `keras.random.SeedGenerator` made from `seed`, so that a resumed run draws the same.
        """
