"""Optimizers by name. A function checks and records its arguments; Keras is imported only when one is built."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le, Lt

from text_recognizer.errors import SpecError, reason
from text_recognizer.recipes import OptimizerRecipe

if TYPE_CHECKING:
    import keras

Decay = Annotated[float, Ge(0), Lt(1)]
Epsilon = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class KerasOptimizer(OptimizerRecipe):
    """A Keras optimizer.

    Args:
        keras_class: its name in keras.optimizers.
        usual_learning_rate: used if train_args give none.
        arguments: further arguments of the constructor, besides learning rate, weight decay and clipping.
    """

    keras_class: str
    usual_learning_rate: float
    arguments: dict[str, Any]

    def build(
        self,
        learning_rate: "float | keras.optimizers.schedules.LearningRateSchedule",
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> "keras.optimizers.Optimizer":
        arguments = dict(self.arguments)
        if weight_decay is not None:
            arguments["weight_decay"] = weight_decay
        try:
            return self._class()(learning_rate, global_clipnorm=clip_norm, clipvalue=clip_value, **arguments)
        except (AttributeError, TypeError, ValueError) as error:
            raise SpecError(f"train_args.optimizer: Keras refuses {self.keras_class}: {reason(error)}.") from error

    def _class(self) -> "type[keras.optimizers.Optimizer]":
        import keras

        return getattr(keras.optimizers, self.keras_class)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class MuonOptimizer(KerasOptimizer):
    """Muon as in text_recognizer/muon.py, which also handles convolutions and the gates of recurrent layers."""

    def _class(self) -> "type[keras.optimizers.Optimizer]":
        from text_recognizer.muon import Muon

        return Muon


def adadelta(rho: Decay = 0.95, epsilon: Epsilon = 1e-7) -> KerasOptimizer:
    return KerasOptimizer("Adadelta", 1.0, {"rho": rho, "epsilon": epsilon})


def adagrad(initial_accumulator_value: Annotated[float, Ge(0)] = 0.1, epsilon: Epsilon = 1e-7) -> KerasOptimizer:
    return KerasOptimizer("Adagrad", 0.01, {"initial_accumulator_value": initial_accumulator_value, "epsilon": epsilon})


def adam(beta_1: Decay = 0.9, beta_2: Decay = 0.999, epsilon: Epsilon = 1e-7, amsgrad: bool = False) -> KerasOptimizer:
    arguments = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "amsgrad": amsgrad}
    return KerasOptimizer("Adam", 1e-3, arguments)


def adamw(beta_1: Decay = 0.9, beta_2: Decay = 0.999, epsilon: Epsilon = 1e-7, amsgrad: bool = False) -> KerasOptimizer:
    arguments = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "amsgrad": amsgrad}
    return KerasOptimizer("AdamW", 1e-3, arguments)


def lion(beta_1: Decay = 0.9, beta_2: Decay = 0.99) -> KerasOptimizer:
    return KerasOptimizer("Lion", 1e-4, {"beta_1": beta_1, "beta_2": beta_2})


def muon(
    momentum: Decay = 0.95,
    newton_schulz_steps: Annotated[int, Ge(1), Le(20)] = 5,
    beta_1: Decay = 0.9,
    beta_2: Decay = 0.999,
    epsilon: Epsilon = 1e-7,
) -> MuonOptimizer:
    """Muon (Jordan and others 2024) for matrices, AdamW for vectors and output layers. Changes have AdamW's size.

    The usual weight decay, 0.1, is that of Liu and others (2025).
    """
    adam = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "weight_decay": 0.1}
    return MuonOptimizer("Muon", 4e-3, {"momentum": momentum, "newton_schulz_steps": newton_schulz_steps, **adam})


def nadam(beta_1: Decay = 0.9, beta_2: Decay = 0.999, epsilon: Epsilon = 1e-7) -> KerasOptimizer:
    return KerasOptimizer("Nadam", 1e-3, {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon})


def rmsprop(rho: Decay = 0.9, momentum: Decay = 0.0, epsilon: Epsilon = 1e-7, centered: bool = False) -> KerasOptimizer:
    arguments = {"rho": rho, "momentum": momentum, "epsilon": epsilon, "centered": centered}
    return KerasOptimizer("RMSprop", 1e-3, arguments)


def sgd(momentum: Decay = 0.0, nesterov: bool = False) -> KerasOptimizer:
    return KerasOptimizer("SGD", 0.01, {"momentum": momentum, "nesterov": nesterov})
