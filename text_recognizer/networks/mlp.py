"""A multilayer perceptron."""

import math
from dataclasses import dataclass

from text_recognizer.networks.base import Count, KerasModel, Network, Shape, Share


@dataclass(frozen=True)
class Mlp(Network):
    """Fully connected layers with dropout: 143,824 parameters for 28 x 28 pixels and 80 classes.

    Args:
        layer_size: units of each hidden layer.
        dropout_amount: share of the units dropped after each hidden layer during training.
        num_layers: number of hidden layers.
    """

    layer_size: Count = 128
    dropout_amount: Share = 0.2
    num_layers: Count = 3

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        image = keras.Input(input_shape)
        x = keras.layers.Flatten()(image)
        for _ in range(self.num_layers):
            x = keras.layers.Dense(self.layer_size, activation="relu")(x)
            x = keras.layers.Dropout(self.dropout_amount)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[0], dtype="float32")(x), name="mlp")
