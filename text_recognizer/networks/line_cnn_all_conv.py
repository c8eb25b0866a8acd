"""Reads a line at a fixed number of positions, with convolutions only."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from text_recognizer.networks.base import KerasModel, Network, Shape


@dataclass(frozen=True)
class LineCnnAllConv(Network):
    """Windows about as wide as a character, grouped into as many groups as the dataset's lines have positions.

    Source: the FSDL text recogniser's network of this name. There, remaining windows at the right end were ignored;
    here the last group is padded with blank ones.

    Args:
        window_width: width of a window in pixels; an even number.
        window_stride: pixels from one window to the next; an even number. The windows must divide into groups of equal
            size, as many as a line has positions.
    """

    window_width: Annotated[int, Ge(2)] = 28
    window_stride: Annotated[int, Ge(2)] = 14

    def check(self, input_shape: Shape, output_shape: Shape) -> None:
        height, width, _ = input_shape
        length = output_shape[0]
        if height < 2 or width < self.window_width:
            raise ValueError(
                f"window_width is {self.window_width} pixels, but the dataset's lines have {width} x {height}"
            )
        windows, group = self._windows(width, length, self.window_stride)
        if -(-windows // group) != length:
            every = [(stride, *self._windows(width, length, stride)) for stride in range(2, width, 2)]
            fitting = [str(stride) for stride, count, size in every if -(-count // size) == length]
            listed = ", ".join(fitting[:8]) + (", …" if len(fitting) > 8 else "")
            advice = f"window_stride could be {listed}" if fitting else "choose a smaller window_width"
            raise ValueError(
                f"window_width {self.window_width} and window_stride {self.window_stride} give {windows} windows, "
                f"which cannot be divided into the {length} positions of the dataset's lines; {advice}"
            )

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return (input_shape[0] // 2,)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        height, width, _ = input_shape
        length, classes = output_shape
        _, group = self._windows(width, length, self.window_stride)
        image = keras.Input(input_shape)
        x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(image)
        x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)  # (B, H/2, W/2, 64)
        x = keras.layers.Dropout(0.2)(x)
        window, stride = (height // 2, self.window_width // 2), (height // 2, self.window_stride // 2)
        x = keras.layers.Conv2D(128, window, strides=stride, activation="relu")(x)  # (B, 1, windows, 128)
        x = keras.layers.Dropout(0.2)(x)
        x = keras.layers.Reshape((-1, 128))(x)
        x = keras.layers.Conv1D(classes, group, strides=group, padding="same", dtype="float32")(x)
        return keras.Model(image, x, name="line_cnn_all_conv")

    def _windows(self, width: int, length: int, stride: int) -> tuple[int, int]:
        """The number of windows of a line, and of each group."""
        windows = (width // 2 - self.window_width // 2) // (stride // 2) + 1
        return windows, max(1, round(windows / length))
