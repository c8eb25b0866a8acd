"""A line read at a fixed number of positions, by convolutions alone."""

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from text_recognizer.networks.base import Network

if TYPE_CHECKING:
    import keras


class LineCnnAllConv(Network):
    """Windows as wide as a character or so, joined into as many groups as the dataset's lines have positions.

    Source: the FSDL text recogniser's network of this name. There, windows that were left over at the right end went
    unread; here the last group is filled up with blank ones.

    Args:
        window_width: pixels that a window sees, even.
        window_stride: pixels from one window to the next, even. The number of windows must part into groups of equal
            size, as many as a line has positions.
    """

    def __init__(self, window_width: Annotated[int, Ge(2)] = 28, window_stride: Annotated[int, Ge(2)] = 14) -> None:
        self.window_width = window_width
        self.window_stride = window_stride

    def check(self, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> None:
        height, width, _ = input_shape
        length = output_shape[0]
        if height < 2 or width < self.window_width:
            raise ValueError(
                f"window_width is {self.window_width} pixels, but the dataset's lines have {width} x {height}"
            )
        windows = self._windows(width, self.window_stride)
        if self._groups(windows, length) != length:
            fitting = [
                stride for stride in range(2, width, 2) if self._groups(self._windows(width, stride), length) == length
            ]
            advice = f"window_stride could be {_listed(fitting)}" if fitting else "choose a smaller window_width"
            raise ValueError(
                f"window_width {self.window_width} and window_stride {self.window_stride} give {windows} windows, "
                f"which do not part into the {length} positions of the dataset's lines; {advice}"
            )

    def build(self, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> "keras.Model":
        import keras

        height, width, _ = input_shape
        length, classes = output_shape
        group = self._group_size(self._windows(width, self.window_stride), length)
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

    def _windows(self, width: int, stride: int) -> int:
        return (width // 2 - self.window_width // 2) // (stride // 2) + 1

    @staticmethod
    def _group_size(windows: int, length: int) -> int:
        return max(1, round(windows / length))

    def _groups(self, windows: int, length: int) -> int:
        return -(-windows // self._group_size(windows, length))


def _listed(strides: list[int]) -> str:
    return ", ".join(map(str, strides[:8])) + (", …" if len(strides) > 8 else "")
