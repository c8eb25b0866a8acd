"""Random changes of pages and of the classes of their pixels, alike. Importing this module imports Keras."""

from typing import Any

import keras

from text_recognizer.augmentation.random_affine import RandomAffine
from text_recognizer.augmentation.recipes import Affine


class RandomPage(keras.layers.Layer):  # type: ignore[misc]
    """RandomAffine for images with a class for every pixel, which move along; may mirror both from left to right."""

    columns = ("image", "label")

    def __init__(self, changes: Affine, background: int, seed: int) -> None:
        super().__init__(dtype="float32")
        self.flip = changes.flip
        self.affine = RandomAffine(changes, background, seed)
        self.random = keras.random.SeedGenerator(seed + 1)

    def build(self, images_shape: Any, labels_shape: Any) -> None:  # noqa: ARG002 - as call
        self.affine.build(images_shape)

    def call(self, images: Any, labels: Any, training: bool = False) -> Any:
        """(B, H, W, C) uint8 and (B, H, W) class ids, 0 being the background."""
        if not training:
            return images, labels
        ops = keras.ops
        x, classes = ops.cast(images, "float32"), ops.cast(labels, "float32")[..., None]
        if self.affine.moves:
            transforms = self.affine.transforms(x)
            x = self.affine.moved(x, transforms)
            classes = ops.image.affine_transform(
                classes, transforms, interpolation="nearest", fill_mode="constant", fill_value=0.0
            )
        if self.flip:
            mirrored = keras.random.uniform((ops.shape(x)[0], 1, 1, 1), seed=self.random) < 0.5
            x = ops.where(mirrored, ops.flip(x, axis=2), x)
            classes = ops.where(mirrored, ops.flip(classes, axis=2), classes)
        return self.affine.shaded(x), ops.cast(classes[..., 0], labels.dtype)
