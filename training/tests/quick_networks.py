"""The smallest networks of each kind, for tests of what is around a network: any other takes seconds to be compiled."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import FrameNetwork, KerasModel, Network, Shape

FRAME_PX = 2


@dataclass(frozen=True)
class QuickFrames(FrameNetwork):
    """Reads lines: two columns are a frame."""

    dropout_amount: float = 0.0

    def frames(self, width: Any) -> Any:
        return width // FRAME_PX

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        image = keras.Input(input_shape)  # (H, W, C)
        x = keras.layers.AveragePooling2D((input_shape[0], FRAME_PX))(image)  # (1, T, C)
        x = keras.layers.Reshape((-1, input_shape[2]))(x)
        x = keras.layers.Dropout(self.dropout_amount)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x))


class QuickPixels(Network):
    """Finds lines on pages: each pixel for itself."""

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        image = keras.Input(input_shape)
        return keras.Model(image, keras.layers.Conv2D(output_shape[-1], 1, dtype="float32")(image))
