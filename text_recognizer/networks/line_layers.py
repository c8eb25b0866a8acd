"""Layers of networks that read lines, in keras.ops. Importing this module imports Keras."""

from typing import Any

import keras


class SlidingWindows(keras.layers.Layer):  # type: ignore[misc]
    """(B, H, W, C) to (B, windows, H, width, C): overlapping cuts of a line, from left to right."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.width = width
        self.stride = stride

    def call(self, images: Any) -> Any:
        count = (keras.ops.shape(images)[2] - self.width) // self.stride + 1
        columns = keras.ops.arange(count)[:, None] * self.stride + keras.ops.arange(self.width)[None, :]
        windows = keras.ops.take(images, columns, axis=2)  # (B, H, windows, width, C)
        return keras.ops.transpose(windows, (0, 2, 1, 3, 4))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, height, width, channels = input_shape
        count = None if width is None else (width - self.width) // self.stride + 1
        return batch, count, height, self.width, channels


class AsSequences(keras.layers.Layer):  # type: ignore[misc]
    """Features (B N, F) of windows (B, N, …) to (B, N, F): for layers that see one window at a time."""

    def call(self, features: Any, windows: Any) -> Any:
        return keras.ops.reshape(features, (-1, keras.ops.shape(windows)[1], features.shape[-1]))

    def compute_output_shape(self, features_shape: tuple[Any, ...], windows_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return windows_shape[0], windows_shape[1], features_shape[-1]
