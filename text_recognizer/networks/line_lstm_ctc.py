"""Overlapping windows of a line, each seen by a small convolutional network, read by an LSTM."""

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from text_recognizer.networks.base import FrameNetwork

if TYPE_CHECKING:
    import keras


class LineLstmCtc(FrameNetwork):
    """554,064 parameters for lines 28 pixels high, 80 classes and windows of 12 pixels.

    Source: the FSDL text recogniser's network of this name.

    Args:
        window_width: pixels that the network sees at once.
        window_stride: pixels from one window to the next. A character needs at least one window, one more where it
            follows its like.
    """

    SMALLEST_SIDE_PX = 6

    def __init__(
        self,
        window_width: Annotated[int, Ge(SMALLEST_SIDE_PX)] = 12,
        window_stride: Annotated[int, Ge(1)] = 5,
    ) -> None:
        self.window_width = window_width
        self.window_stride = window_stride

    def check(self, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> None:  # noqa: ARG002 - any output
        height, width, _ = input_shape
        if height < self.SMALLEST_SIDE_PX:
            raise ValueError(
                f"needs lines at least {self.SMALLEST_SIDE_PX} pixels high, the dataset's have {height} pixels"
            )
        if width is not None and width < self.window_width:
            raise ValueError(f"window_width is {self.window_width} pixels, but the dataset's lines have {width}")

    def frames(self, width: Any) -> Any:
        return (width - self.window_width) // self.window_stride + 1

    def build(self, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> "keras.Model":
        import keras

        from text_recognizer.networks.line_layers import AsSamples, AsSequences, SlidingWindows

        image = keras.Input(input_shape)
        windows = SlidingWindows(self.window_width, self.window_stride)(image)  # (B, T, H, window, C)
        x = AsSamples()(windows)  # (B T, H, window, C)
        x = keras.layers.Conv2D(32, 3, activation="relu")(x)
        x = keras.layers.Conv2D(64, 3, activation="relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(0.2)(x)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(128, activation="relu")(x)
        x = AsSequences()(x, windows)  # (B, T, 128)
        x = keras.layers.LSTM(128, return_sequences=True)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x), name="line_lstm_ctc")
