"""A network from outside."""

from typing import Annotated

from annotated_types import Ge

from text_recognizer.networks import Network


class Linear(Network):
    """One layer, or two."""

    def __init__(self, units: Annotated[int, Ge(0)] = 0) -> None:
        self.units = units

    def build(self, input_shape, output_shape):
        import keras

        hidden = [keras.layers.Dense(self.units, "relu")] if self.units else []
        layers = [keras.Input(input_shape), keras.layers.Flatten(), *hidden, keras.layers.Dense(*output_shape)]
        return keras.Sequential(layers)
