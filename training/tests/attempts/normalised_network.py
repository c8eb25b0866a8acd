"""A small network with everything that counts or draws over a batch."""

from typing import Any

import keras

from text_recognizer.networks.base import Network


class NormalisedNetwork(Network):
    def build(self, input_shape: tuple[int | None, ...], output_shape: tuple[Any, ...]) -> keras.Model:
        image = keras.Input(input_shape)
        x = keras.layers.Flatten()(image)
        x = keras.layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3))(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Dropout(0.3)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[0])(x))
