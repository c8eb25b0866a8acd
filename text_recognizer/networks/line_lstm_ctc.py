"""Overlapping windows of a line, each processed by a small convolutional network, then read by an LSTM."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from text_recognizer.networks.base import Count, FrameNetwork, KerasModel, Shape


@dataclass(frozen=True)
class LineLstmCtc(FrameNetwork):
    """Sliding windows and an LSTM: 554,064 parameters for lines 28 pixels high, 80 classes and windows of 12 pixels.

    Source: the FSDL text recogniser's network of this name.

    Args:
        window_width: width of a window in pixels.
        window_stride: pixels from one window to the next. A character needs at least one window, and one more if it
            follows the same character.
    """

    smallest_height_px = 6
    window_width: Annotated[int, Ge(6)] = 12
    window_stride: Count = 5

    @property
    def more_frames(self) -> str:
        return f"Make network_args.window_stride smaller than {self.window_stride}."

    def check(self, input_shape: Shape, output_shape: Shape) -> None:
        super().check(input_shape, output_shape)
        if input_shape[1] is not None and input_shape[1] < self.window_width:
            raise ValueError(
                f"window_width is {self.window_width} pixels, but the dataset's lines have {input_shape[1]}"
            )

    def frames(self, width: Any) -> Any:
        return (width - self.window_width) // self.window_stride + 1

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return ((input_shape[0] - 4) // 2,)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        from text_recognizer.networks.layers import AsSequences, SlidingWindows

        image = keras.Input(input_shape)
        windows = SlidingWindows(self.window_width, self.window_stride)(image)  # (B, T, H, window, C)
        x = keras.ops.reshape(windows, (-1, *windows.shape[2:]))  # (B T, H, window, C)
        x = keras.layers.Conv2D(32, 3, activation="relu")(x)
        x = keras.layers.Conv2D(64, 3, activation="relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(0.2)(x)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(128, activation="relu")(x)
        x = AsSequences()(x, windows)  # (B, T, 128)
        x = keras.layers.LSTM(128, return_sequences=True)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x), name="line_lstm_ctc")
