"""Gated convolutions as feature extractor, two bidirectional LSTMs as reader."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import Count, FrameNetwork, KerasModel, Shape, columns_as_frames


@dataclass(frozen=True)
class Bluche(FrameNetwork):
    """Gated convolutions and two bidirectional LSTMs, eight pixels per frame: 729,194 parameters for 98 classes.

    Made for lines 128 pixels high. The first layer sees tiles of 2 x 2 pixels, each as four channels.

    Source: Bluche and Messina (2017), "Gated convolutional recurrent neural networks for multilingual handwriting
    recognition", with the sizes of the reimplementation beside HTR-Flor.

    Args:
        units: units of each LSTM in each direction.
    """

    smallest_height_px = 97
    units: Count = 128

    def frames(self, width: Any) -> Any:
        return -(-width // 8)

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return (-(-input_shape[0] // 32) // 4,)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        def convolution(x: Any, filters: int, kernel: Any = 3, strides: Any = 1) -> Any:
            return keras.layers.Conv2D(filters, kernel, strides=strides, padding="same", activation="tanh")(x)

        def gate(x: Any) -> Any:
            gates = keras.layers.Conv2D(x.shape[-1], 3, padding="same", activation="sigmoid")(x)
            return keras.layers.Multiply()([x, gates])

        image = keras.Input(input_shape)  # (B, H, W, C)
        x = keras.ops.image.extract_patches(image, 2, strides=2, padding="same")  # (B, H/2, W/2, 4 C)
        x = convolution(x, 8)
        x = gate(convolution(x, 16, (4, 2), (4, 2)))  # (B, H/8, W/4, 16)
        x = gate(convolution(x, 32))
        x = gate(convolution(x, 64, (4, 2), (4, 2)))  # (B, H/32, W/8, 64)
        x = keras.layers.MaxPooling2D((4, 1))(convolution(x, 128))
        x = columns_as_frames(x)  # (B, T, H/128 128)
        x = keras.layers.Bidirectional(keras.layers.LSTM(self.units, return_sequences=True, dropout=0.5))(x)
        x = keras.layers.Dense(self.units, activation="tanh")(x)
        x = keras.layers.Bidirectional(keras.layers.LSTM(self.units, return_sequences=True, dropout=0.5))(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x), name="bluche")
