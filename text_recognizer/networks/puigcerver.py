"""The influential line recogniser of 2017: convolutions and five bidirectional LSTMs."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import Count, FrameNetwork, KerasModel, Shape, Share, columns_as_frames

FILTERS = (16, 32, 48, 64, 80)
POOLED = 3  # number of convolutions with pooling


@dataclass(frozen=True)
class Puigcerver(FrameNetwork):
    """Five convolutions and five bidirectional LSTMs, eight pixels per frame: 9,591,202 parameters for 98 classes.

    Made for lines 128 pixels high.

    Source: Puigcerver (2017), "Are multidimensional recurrent layers really necessary for handwritten text
    recognition?", as reimplemented beside HTR-Flor.

    Args:
        units: units of each LSTM in each direction.
        layers: number of LSTMs.
        batch_norm_momentum: momentum of the running means. At the usual 0.99, runs of a few hundred steps look useless.
    """

    smallest_height_px = 8
    former_names = {"momentum": "batch_norm_momentum"}  # noqa: RUF012 - as in its base
    units: Count = 256
    layers: Count = 5
    batch_norm_momentum: Share = 0.9

    def frames(self, width: Any) -> Any:
        return width // 2 // 2 // 2

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return (input_shape[0] // 8,)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        image = keras.Input(input_shape)
        x = image
        for index, filters in enumerate(FILTERS):
            if index >= 2:
                x = keras.layers.Dropout(0.2)(x)
            x = keras.layers.Conv2D(filters, 3, padding="same")(x)
            x = keras.layers.BatchNormalization(momentum=self.batch_norm_momentum)(x)
            x = keras.layers.LeakyReLU(0.01)(x)
            if index < POOLED:
                x = keras.layers.MaxPooling2D(2)(x)
        x = columns_as_frames(x)  # (B, T, H/8 80)
        for _ in range(self.layers):
            x = keras.layers.Bidirectional(keras.layers.LSTM(self.units, return_sequences=True, dropout=0.5))(x)
        x = keras.layers.Dropout(0.5)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x), name="puigcerver")
