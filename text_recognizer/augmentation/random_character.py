"""Random changes of single characters. Importing this module imports Keras."""

from typing import Any

import keras
import numpy as np

from text_recognizer.augmentation.random_affine import drawn
from text_recognizer.augmentation.random_line import RandomLine, bilinear
from text_recognizer.augmentation.recipes import CharacterElastic
from text_recognizer.images.character_form import INK_THRESHOLD

KNOTS = 5  # per side, of the grid whose random shifts bend a character
PARTS = 4  # per side, each stretched differently
_FAINTEST = 0.2  # share of full ink; fainter ink is not scaled up to full strength
_LOOSEST = 0.06  # maximum excess of the image over the character when it is fitted


class RandomCharacter(RandomLine):
    """Changes each character as if by another writer: rotation, slant, shifted and bent parts, strokes, shade.

    Maps uint8 images to the same; without `training`, they are returned unchanged. Parts are shifted by a smooth field
    through random shifts on a grid: the elastic distortions of Simard, Steinkraus and Platt (2003), "Best practices for
    convolutional neural networks applied to visual document analysis", at the scale of radicals.
    """

    columns = ("image",)  # columns of a batch that it takes and returns

    changes: CharacterElastic

    def __init__(self, changes: CharacterElastic, background: int, seed: int, margin_px: int = 1) -> None:
        super().__init__(changes, background, seed)
        self.margin_px = margin_px

    def call(self, images: Any, training: bool = False) -> Any:  # type: ignore[override]
        """(B, H, W, 1) uint8 to the same."""
        if not training:
            return images
        # As ink on zero background, so that pixels from outside are 0.
        x = keras.ops.abs(keras.ops.cast(images, "float32") - self.background)[..., 0] / 255.0
        x = self._bent(self._stretched(x))
        x = self.blurred(self.stroked(self._fitted(x) if self.changes.fit else x), self.changes.blur_amount)
        if self.changes.fit:
            x = x / keras.ops.maximum(keras.ops.max(x, axis=(1, 2), keepdims=True), _FAINTEST)
        x = self.shaded(x)
        if self.changes.flip:
            mirrored = keras.random.uniform((keras.ops.shape(x)[0], 1, 1), seed=self.random) < 0.5
            x = keras.ops.where(mirrored, keras.ops.flip(x, axis=2), x)
        ink = keras.ops.round(255.0 * keras.ops.clip(x, 0.0, 1.0))
        return keras.ops.cast(keras.ops.abs(self.background - ink), "uint8")[..., None]

    def _bent(self, x: Any) -> Any:
        """(B, H, W): resampled with rotation, slant, zoom, shift and the local shifts."""
        ops, changes = keras.ops, self.changes
        height, width = x.shape[1], x.shape[2]

        def each(largest: float) -> Any:
            return drawn(x, largest, self.random)[:, None, None]

        angle = each(float(np.deg2rad(changes.rotation_degrees)))
        wider, taller = (1.0 + each(changes.zoom_fraction) for _ in range(2))
        column = ops.arange(width, dtype="float32")[None, None, :] - (width - 1) / 2.0  # (1, 1, W) from the middle
        row = ops.arange(height, dtype="float32")[None, :, None] - (height - 1) / 2.0  # (1, H, 1)
        slanted = column + each(self.slant) * row
        source_x = (ops.cos(angle) * slanted - ops.sin(angle) * row) / wider + width * each(changes.shift_fraction)
        source_y = (ops.sin(angle) * slanted + ops.cos(angle) * row) / taller + height * each(changes.shift_fraction)
        if changes.local_fraction:
            knots = (ops.shape(x)[0], KNOTS, KNOTS, 2)
            shifts = keras.random.normal(knots, 0.0, changes.local_fraction, seed=self.random)
            field = ops.image.resize(shifts, (height, width), interpolation="bicubic")  # (B, H, W, 2)
            source_x, source_y = source_x + width * field[..., 0], source_y + height * field[..., 1]
        return bilinear(x, source_x + (width - 1) / 2.0, source_y + (height - 1) / 2.0)

    def _stretched(self, x: Any) -> Any:
        """(B, H, W): bands of rows and columns made wider or narrower; the size of the image stays."""
        if not self.changes.parts_amount:
            return x
        ops = keras.ops
        places = []
        amount = self.changes.parts_amount
        for side in (x.shape[1], x.shape[2]):
            knots = keras.random.normal((ops.shape(x)[0], PARTS, 1, 1), 0.0, amount, seed=self.random)
            steps = ops.image.resize(ops.exp(knots), (side, 1), interpolation="bilinear")[:, :, 0, 0]  # (B, side)
            place = ops.cumsum(steps, axis=1) - steps[:, :1]
            places.append(place * (side - 1.0) / place[:, -1:])
        return bilinear(x, places[1][:, None, :] + 0.0 * x, places[0][:, :, None] + 0.0 * x)

    def _fitted(self, x: Any) -> Any:
        """(B, H, W): the box of the ink, scaled to fit the image and centred, with its aspect ratio."""
        ops = keras.ops
        middles, sizes, offsets = [], [], []
        for axis, side in ((2, x.shape[1]), (1, x.shape[2])):
            place = ops.arange(side, dtype="float32")
            has_ink = ops.max(x, axis=axis) > INK_THRESHOLD  # (B, side)
            first = ops.min(ops.where(has_ink, place, side - 1.0), axis=1)
            last = ops.max(ops.where(has_ink, place, 0.0), axis=1)
            is_there = last >= first
            first, last = ops.where(is_there, first, 0.0), ops.where(is_there, last, side - 1.0)
            middles.append((first + last) / 2.0)
            sizes.append((last - first + 1.0) / (side - 2.0 * self.margin_px))
            offsets.append(place - (side - 1.0) / 2.0)
        scale = ops.maximum(*sizes) * (1.0 + ops.abs(drawn(x, _LOOSEST, self.random)))
        row = middles[0][:, None] + scale[:, None] * offsets[0]
        column = middles[1][:, None] + scale[:, None] * offsets[1]
        return bilinear(x, column[:, None, :] + 0.0 * x, row[:, :, None] + 0.0 * x)
