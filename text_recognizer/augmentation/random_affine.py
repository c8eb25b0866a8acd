"""Random changes of images and of their pixel classes. Importing this module imports Keras."""

from typing import Any

import keras
import numpy as np

from text_recognizer.augmentation.recipes import Affine


class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Rotation, shear, zoom and shift in one bilinear interpolation, then brightness and contrast, drawn per image.

    Maps uint8 images to uint8 images of the same shape; without `training`, they are returned unchanged.
    """

    def __init__(self, changes: Affine, background: int, seed: int) -> None:
        super().__init__(dtype="float32")
        self.changes = changes
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
        changes = self.changes
        return any((changes.rotation_degrees, changes.shear_degrees, changes.zoom_fraction, changes.shift_fraction))

    def moved(self, x: Any, transforms: Any) -> Any:
        """Images (B, H, W, C) of floats, resampled."""
        return keras.ops.image.affine_transform(
            x, transforms, interpolation="bilinear", fill_mode="constant", fill_value=self.background
        )

    def shaded(self, x: Any) -> Any:
        """Changes contrast and brightness of each image, and converts to uint8."""
        contrast, brightness = self.changes.contrast_fraction, self.changes.brightness_fraction
        if contrast:
            mean = keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)
            x = mean + (x - mean) * (1.0 + drawn(x, contrast, self.random)[:, None, None, None])
        if brightness:
            x = x + 255.0 * drawn(x, brightness, self.random)[:, None, None, None]
        return keras.ops.cast(keras.ops.clip(keras.ops.round(x), 0, 255), "uint8")

    def transforms(self, x: Any) -> Any:
        """(B, 8) parameters of keras.ops.image.affine_transform, which map output to input coordinates.

        Around the image's centre c: input = A (output - c) + c + t, A = rotation times shear times zoom.
        """
        height, width = x.shape[1], x.shape[2]
        changes, random = self.changes, self.random
        angle = drawn(x, np.deg2rad(changes.rotation_degrees), random)
        shear = drawn(x, np.deg2rad(changes.shear_degrees), random)
        zoom_x, zoom_y = (1.0 + drawn(x, changes.zoom_fraction, random) for _ in range(2))
        shift_x, shift_y = (side * drawn(x, changes.shift_fraction, random) for side in (width, height))
        cos, sin, slope = keras.ops.cos(angle), keras.ops.sin(angle), keras.ops.tan(shear)
        a0, a1 = cos * zoom_x, (cos * slope - sin) * zoom_y
        b0, b1 = sin * zoom_x, (sin * slope + cos) * zoom_y
        centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
        a2 = centre_x + shift_x - a0 * centre_x - a1 * centre_y
        b2 = centre_y + shift_y - b0 * centre_x - b1 * centre_y
        zero = keras.ops.zeros_like(a0)
        return keras.ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


class RandomPage(RandomAffine):
    """RandomAffine for images with pixel classes, which are transformed too; may also mirror both horizontally."""

    columns = ("image", "label")  # columns of a batch that it takes and returns

    def __init__(self, changes: Affine, background: int, seed: int) -> None:
        super().__init__(changes, background, seed + 1)
        # Checkpoints have the two states in this order.
        self.flips, self.random = self.random, keras.random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any, training: bool = False) -> Any:  # type: ignore[override]
        """(B, H, W, C) uint8 and (B, H, W) class ids, 0 being the background."""
        if not training:
            return images, labels
        ops = keras.ops
        x, classes = ops.cast(images, "float32"), ops.cast(labels, "float32")[..., None]
        if self.moves:
            transforms = self.transforms(x)
            x = self.moved(x, transforms)
            classes = ops.image.affine_transform(
                classes, transforms, interpolation="nearest", fill_mode="constant", fill_value=0.0
            )
        if self.changes.flip:
            mirrored = keras.random.uniform((ops.shape(x)[0], 1, 1, 1), seed=self.flips) < 0.5
            x = ops.where(mirrored, ops.flip(x, axis=2), x)
            classes = ops.where(mirrored, ops.flip(classes, axis=2), classes)
        return self.shaded(x), ops.cast(classes[..., 0], labels.dtype)


def drawn(x: Any, largest: float, random: Any) -> Any:
    """(B,) values for the images of a batch, uniform from -largest to +largest."""
    return keras.random.uniform((keras.ops.shape(x)[0],), -largest, largest, seed=random)
