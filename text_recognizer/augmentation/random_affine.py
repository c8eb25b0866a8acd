"""Custom Keras layers, in keras.ops. Importing this module imports Keras."""

from typing import Any

import keras
import numpy as np


class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Rotation, shear, zoom and shift in one bilinear interpolation, then brightness and contrast; one draw an image.

    uint8 images in, uint8 images of the same shape out; without `training` they pass unchanged.
    """

    columns = ("image",)  # of a batch: what it takes and returns

    def __init__(
        self,
        *,
        rotation_degrees: float,
        shear_degrees: float,
        zoom_fraction: float,
        shift_fraction: float,
        brightness_fraction: float,
        contrast_fraction: float,
        background: int,
        seed: int,
    ) -> None:
        super().__init__(dtype="float32")
        self.rotation = np.deg2rad(rotation_degrees)
        self.shear = np.deg2rad(shear_degrees)
        self.zoom = zoom_fraction
        self.shift = shift_fraction
        self.brightness = brightness_fraction
        self.contrast = contrast_fraction
        self.background = background
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """(B, H, W, C) uint8 to (B, H, W, C) uint8."""
        if not training:
            return images
        x = keras.ops.cast(images, "float32")
        if self.moves:
            x = self.moved(x, self.transforms(x))
        return self.shaded(x)

    @property
    def moves(self) -> bool:
        return bool(self.rotation or self.shear or self.zoom or self.shift)

    def moved(self, x: Any, transforms: Any) -> Any:
        """Images (B, H, W, C) of floats, resampled."""
        return keras.ops.image.affine_transform(
            x, transforms, interpolation="bilinear", fill_mode="constant", fill_value=self.background
        )

    def shaded(self, x: Any) -> Any:
        """Contrast and brightness of each image changed; back to uint8."""
        if self.contrast:
            mean = keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)
            x = mean + (x - mean) * (1.0 + self._draw(x, self.contrast)[:, None, None, None])
        if self.brightness:
            x = x + 255.0 * self._draw(x, self.brightness)[:, None, None, None]
        return keras.ops.cast(keras.ops.clip(keras.ops.round(x), 0, 255), "uint8")

    def transforms(self, x: Any) -> Any:
        """(B, 8) parameters of keras.ops.image.affine_transform, which map output to input coordinates.

        Around the image's centre c: input = A (output - c) + c + t, A = rotation times shear times zoom.
        """
        height, width = x.shape[1], x.shape[2]
        angle, shear = self._draw(x, self.rotation), self._draw(x, self.shear)
        zoom_x, zoom_y = 1.0 + self._draw(x, self.zoom), 1.0 + self._draw(x, self.zoom)
        shift_x, shift_y = width * self._draw(x, self.shift), height * self._draw(x, self.shift)
        cos, sin, slope = keras.ops.cos(angle), keras.ops.sin(angle), keras.ops.tan(shear)
        a0, a1 = cos * zoom_x, (cos * slope - sin) * zoom_y
        b0, b1 = sin * zoom_x, (sin * slope + cos) * zoom_y
        centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
        a2 = centre_x + shift_x - a0 * centre_x - a1 * centre_y
        b2 = centre_y + shift_y - b0 * centre_x - b1 * centre_y
        zero = keras.ops.zeros_like(a0)
        return keras.ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def _draw(self, x: Any, largest: float) -> Any:
        """(B,) values, evenly from -largest to +largest."""
        return keras.random.uniform((keras.ops.shape(x)[0],), -largest, largest, seed=self.random)
