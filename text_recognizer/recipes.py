"""Recipes: the parts that train_args name. A recipe stores checked arguments; Keras builds it when training starts.

A name refers to a subclass, or to a function annotated to return one; nothing else is called.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import SpecError
from text_recognizer.wording import received

if TYPE_CHECKING:
    import keras

    Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


class OptimizerRecipe(ABC):
    """An optimizer before it is built.

    Attributes:
        usual_learning_rate: used if train_args give none.
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
        """The optimizer; None means no decay or clipping. The norm is the global norm of all gradients."""


class ScheduleRecipe(ABC):
    """How the learning rate changes during training.

    Attributes:
        counts_steps: the rate follows the number of steps, whatever their total. Other schedules follow the clock if
            the training time is limited (`train_args.minutes`).
    """

    counts_steps: ClassVar[bool] = False

    @abstractmethod
    def build(self, learning_rate: float, total_steps: int) -> "Rate":
        """A constant rate, or a function of the step, counted from 0; `total_steps`: steps of the whole training."""

    @property
    def on_plateau(self) -> Any | None:
        """A `ReduceOnPlateau`, by which a constant rate falls when the monitored metric stalls; None: it does not."""
        return None


class AugmentationRecipe(ABC):
    """Random changes of training images."""

    @abstractmethod
    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """A Keras layer that changes images, called with `training=True`.

        It gets the images (B, H, W, C), uint8, and returns as many of the same type; or, if it has an attribute
        `columns`, these columns of a batch: as one argument each, returned as a tuple if there are several. Its random
        numbers come from a `keras.random.SeedGenerator` made from `seed`, so that a resumed run draws the same numbers.
        """


def check_built(kind: str, built: object, is_right: bool, wanted: str) -> None:
    """Raises a SpecError if what a recipe, perhaps a user's, has built is not right; `wanted`: in words."""
    if not is_right:
        raise SpecError(f"train_args.{kind}: its build() must return {wanted}. {received(built)}")
