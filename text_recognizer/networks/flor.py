"""The gated convolutional recurrent network of HTR-Flor."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import Count, FrameNetwork, KerasModel, Shape, Share, columns_as_frames


@dataclass(frozen=True)
class Flor(FrameNetwork):
    """Gated convolutions and two bidirectional GRUs, eight pixels per frame: 824,050 parameters for 98 classes.

    Made for lines 128 pixels high. 822,770 of the parameters are trained, the others are moving averages.

    Source: de Sousa Neto, Bezerra, Toselli and Lima (2020), "HTR-Flor: a deep learning system for offline handwritten
    text recognition", and its code of January 2020; gates of Dauphin, Fan, Auli and Grangier (2017), "Language modeling
    with gated convolutional networks".

    Args:
        units: units of each GRU in each direction.
        batch_norm_momentum: momentum of the running means, which batch renormalisation also uses in training. At the
            source's 0.99, runs of a few hundred steps look useless.
    """

    smallest_height_px = 33
    former_names = {"momentum": "batch_norm_momentum"}  # noqa: RUF012 - as in its base
    units: Count = 128
    batch_norm_momentum: Share = 0.9

    def frames(self, width: Any) -> Any:
        return -(-width // 8)

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return (-(-input_shape[0] // 32) // 2,)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        def convolution(x: Any, filters: int, kernel: Any = 3, strides: Any = 1) -> Any:
            start = "he_uniform"
            x = keras.layers.Conv2D(filters, kernel, strides=strides, padding="same", kernel_initializer=start)(x)
            x = keras.layers.PReLU(shared_axes=[1, 2])(x)
            momentum = {"momentum": self.batch_norm_momentum, "renorm_momentum": self.batch_norm_momentum}
            return keras.layers.BatchNormalization(renorm=True, **momentum)(x)

        def gate(x: Any, regularised: bool) -> Any:
            constraint = keras.constraints.MaxNorm(4, axis=[0, 1, 2]) if regularised else None
            x = keras.layers.Conv2D(2 * x.shape[-1], 3, padding="same", kernel_constraint=constraint)(x)
            values, gates = keras.ops.split(x, 2, axis=-1)
            x = values * keras.ops.sigmoid(gates)
            return keras.layers.Dropout(0.2)(x) if regularised else x

        image = keras.Input(input_shape)  # (B, H, W, C)
        x = gate(convolution(image, 16, strides=2), regularised=False)  # (B, H/2, W/2, 16)
        x = gate(convolution(x, 32), regularised=False)
        x = gate(convolution(x, 40, (4, 2), (4, 2)), regularised=True)  # (B, H/8, W/4, 40)
        x = gate(convolution(x, 48), regularised=True)
        x = gate(convolution(x, 56, (4, 2), (4, 2)), regularised=True)  # (B, H/32, W/8, 56)
        x = keras.layers.MaxPooling2D((2, 1))(convolution(x, 64))
        x = columns_as_frames(x)  # (B, T, H/64 64)
        x = keras.layers.Bidirectional(keras.layers.GRU(self.units, return_sequences=True, dropout=0.5))(x)
        x = keras.layers.Dense(2 * self.units)(x)
        x = keras.layers.Bidirectional(keras.layers.GRU(self.units, return_sequences=True, dropout=0.5))(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x), name="flor")
