"""What pages do to lines besides the hand: blur, shade, stains, neighbours that reach in, ink that is gone."""

from typing import Any

import keras

from text_recognizer.augmentation.random_affine import drawn
from text_recognizer.augmentation.random_line import RandomLine
from text_recognizer.augmentation.recipes import LineWorn

SPANS = 4  # of a line that are masked at most
GREATEST_REACH = 0.25  # of its height into which a neighbouring line reaches


class RandomWornLine(RandomLine):
    """The changes of RandomLine, then those of a worn page; all but the mask leave the ink readable."""

    changes: LineWorn

    def shaded(self, x: Any) -> Any:
        """(B, H, W) ink, 0 to 1, changed as a page changes it."""
        if self.changes.intrusion_fraction:
            x = self._intruded(x)
        x = super().shaded(self.blurred(x, self.changes.blur_amount))
        if self.changes.shade_fraction:
            column = keras.ops.arange(keras.ops.shape(x)[2], dtype="float32")[None, None, :]
            phase, waves = (drawn(x, most, self.random)[:, None, None] for most in (3.1416, 0.6))
            course = keras.ops.sin(phase + waves * column / x.shape[1])  # (B, 1, W) a slow wave along the line
            x = x + self.changes.shade_fraction * keras.ops.relu(course)
        if self.changes.stain_fraction:
            x = x + self._stain(x)
        return self._masked(x) if self.changes.mask_heights else x

    def _intruded(self, x: Any) -> Any:
        """Feet of one line of the batch come in from above, heads of another from below."""
        ops = keras.ops
        height = x.shape[1]
        row = ops.arange(height, dtype="float32")[None, :, None]
        for line, side in ((ops.roll(x, 1, axis=0), 1.0), (ops.roll(x, 2, axis=0), -1.0)):
            reach = self._sometimes(x, self.changes.intrusion_fraction) * GREATEST_REACH * height
            away = ops.ceil(height - reach[:, None, None])
            source = row + side * away  # where the row of the neighbour is that stands here
            is_in = ops.logical_and(source >= 0, source < height)
            at = ops.cast(ops.clip(source, 0, height - 1), "int32")
            moved = ops.take_along_axis(line, ops.broadcast_to(at, ops.shape(line)), axis=1)
            x = ops.maximum(x, ops.where(is_in, moved, 0.0))
        return x

    def _stain(self, x: Any) -> Any:
        """(B, H, W) a round stain on some lines."""
        ops = keras.ops
        height, width = x.shape[1], ops.shape(x)[2]
        row = ops.arange(height, dtype="float32")[None, :, None]
        column = ops.arange(width, dtype="float32")[None, None, :]
        middle, along, size = ((drawn(x, 0.5, self.random) + 0.5)[:, None, None] for _ in range(3))
        radius = height * (0.2 + size)
        away = ops.square(row - middle * height) + ops.square(column - along * ops.cast(width, "float32"))
        strength = self._sometimes(x, self.changes.stain_fraction)[:, None, None]
        return 0.5 * strength * ops.exp(-away / ops.square(radius))

    def _masked(self, x: Any) -> Any:
        """Spans of the line without ink: what stands there must be read from what stands around it."""
        ops = keras.ops
        width = ops.shape(x)[2]
        shape = (ops.shape(x)[0], SPANS)
        start = keras.random.uniform(shape, 0.0, 1.0, seed=self.random) * ops.cast(width, "float32")
        length = keras.random.uniform(shape, 0.0, self.changes.mask_heights, seed=self.random) * x.shape[1]
        column = ops.arange(width, dtype="float32")[None, None, :]
        past = column - start[..., None]  # (B, SPANS, W)
        is_masked = ops.any(ops.logical_and(past >= 0, past < length[..., None]), axis=1)
        return ops.where(is_masked[:, None, :], 0.0, x)

    def _sometimes(self, x: Any, share: float) -> Any:
        """(B,) from 0 to 1 for a share of the lines, 0 for the others."""
        return keras.ops.relu(1.0 - (0.5 + drawn(x, 0.5, self.random)) / share)
