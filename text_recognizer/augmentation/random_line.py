"""Random changes of text lines. Importing this module imports Keras."""

from typing import Any

import keras
import numpy as np

from text_recognizer.augmentation.random_affine import drawn
from text_recognizer.augmentation.recipes import LineAffine

# However long a line is, turning it moves its ends up or down by no more than this share of its height.
MOST_RISE = 0.15


class RandomLine(keras.layers.Layer):  # type: ignore[misc]
    """Changes each line as another hand, pen or paper might: form in one bilinear interpolation, then stroke and shade.

    uint8 images and true widths in, the same out; without `training` they pass unchanged. A line that is made wider
    stays within its padding, and one that is made narrower keeps its width, so that no frame is lost for its label.

    The local changes let four things wander smoothly along the line: place of the letters, slant, height, baseline.
    They stand for the elastic distortions of Simard, Steinkraus and Platt (2003), "Best practices for convolutional
    neural networks applied to visual document analysis", in the directions in which handwriting varies.
    """

    columns: tuple[str, ...] = ("image", "width")  # of a batch: what it takes and returns

    def __init__(self, changes: LineAffine, background: int, seed: int) -> None:
        super().__init__(dtype="float32")
        self.changes = changes
        self.slope = float(np.tan(np.deg2rad(changes.rotation_degrees)))
        self.slant = float(np.tan(np.deg2rad(changes.shear_degrees)))
        self.background = background  # level of the paper
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images: Any, widths: Any, training: bool = False) -> Any:
        """(B, H, W, 1) uint8 and (B,) to the same."""
        if not training:
            return images, widths
        # As ink on nothing: what comes in from outside is then 0.
        x = keras.ops.abs(keras.ops.cast(images, "float32") - self.background)[..., 0] / 255.0
        moves = (self.changes.zoom_fraction, self.changes.shift_fraction, self.changes.local_fraction)
        if any((self.slope, self.slant, *moves)):
            x, widths = self._formed(x, widths)
        x = self.stroked(x)
        # Padding stays nothing: it is no paper that could be brighter or rougher.
        inside = keras.ops.arange(keras.ops.shape(x)[2], dtype="int32")[None, None, :] < widths[:, None, None]
        x = keras.ops.where(inside, self.shaded(x), 0.0)
        ink = keras.ops.round(255.0 * keras.ops.clip(x, 0.0, 1.0))
        return keras.ops.cast(keras.ops.abs(self.background - ink), "uint8")[..., None], widths

    def _formed(self, x: Any, widths: Any) -> Any:
        """(B, H, W) and (B,): every pixel taken from where rotation, slant, zoom, shift and local changes lead."""
        ops = keras.ops
        height, width = x.shape[1], ops.shape(x)[2]
        full = ops.cast(width, "float32")
        true = ops.maximum(ops.cast(widths, "float32"), 1.0)
        wider = ops.minimum(1.0 + drawn(x, self.changes.zoom_fraction, self.random), full / true)
        taller = 1.0 + drawn(x, self.changes.zoom_fraction, self.random)
        steepest = ops.minimum(self.slope, 2.0 * MOST_RISE * height / true)
        slope, slant = drawn(x, 1.0, self.random) * steepest, drawn(x, self.slant, self.random)
        shift = drawn(x, self.changes.shift_fraction, self.random) * height

        column = ops.arange(width, dtype="float32")[None, None, :]  # (1, 1, W)
        row = ops.arange(height, dtype="float32")[None, :, None] - (height - 1) / 2.0  # (1, H, 1) from the middle

        def each(values: Any) -> Any:
            return values[:, None, None]

        source_x = column / each(wider) + each(slant) * row
        source_y = row / each(taller) + each(slope) * (column - each(true) / 2.0) + each(shift)
        if self.changes.local_fraction:
            place, lean, size, rise = self._wandering(x, height, width)  # (B, 1, W) each
            source_x = source_x + height * place + lean * row
            source_y = source_y + height * rise + size * row
        formed = bilinear(x, source_x, source_y + (height - 1) / 2.0)
        grown = ops.minimum(ops.ceil(true * wider), full)
        return formed, ops.maximum(ops.cast(grown, widths.dtype), widths)

    def _wandering(self, x: Any, height: int, width: Any) -> Any:
        """Four smooth random courses (B, 1, W) along the line, through a random value every line height."""
        ops = keras.ops
        places = ops.arange(width, dtype="float32") / float(height)
        left = ops.floor(places)
        part = places - left
        part = part * part * (3.0 - 2.0 * part)  # level at the given values, so without kinks
        left = ops.cast(left, "int32")
        shape = (ops.shape(x)[0], width // height + 2, 4)
        knots = keras.random.normal(shape, 0.0, self.changes.local_fraction, seed=self.random)
        course = (1.0 - part)[None, :, None] * ops.take(knots, left, axis=1)
        course = course + part[None, :, None] * ops.take(knots, left + 1, axis=1)  # (B, W, 4)
        return [course[:, None, :, index] for index in range(4)]

    def stroked(self, x: Any) -> Any:
        """Strokes thicker or thinner, by mixing with the strongest or weakest ink around each pixel."""
        if not self.changes.stroke_amount:
            return x
        ops = keras.ops
        amount = drawn(x, self.changes.stroke_amount, self.random)[:, None, None]
        image = x[..., None]
        thick = ops.max_pool(image, 3, strides=1, padding="same")[..., 0]
        thin = -ops.max_pool(-image, 3, strides=1, padding="same")[..., 0]
        return x + ops.maximum(amount, 0.0) * (thick - x) + ops.maximum(-amount, 0.0) * (thin - x)

    def blurred(self, x: Any, most: float) -> Any:
        """(B, H, W) mixed with the mean around each pixel, by 0 to `most`."""
        if not most:
            return x
        amount = keras.ops.abs(drawn(x, most, self.random))[:, None, None]
        return x + amount * (keras.ops.average_pool(x[..., None], 3, strides=1, padding="same")[..., 0] - x)

    def shaded(self, x: Any) -> Any:
        if self.changes.contrast_fraction:
            x = x * (1.0 + drawn(x, self.changes.contrast_fraction, self.random)[:, None, None])
        if self.changes.brightness_fraction:
            x = x + drawn(x, self.changes.brightness_fraction, self.random)[:, None, None]
        if self.changes.noise_fraction:
            strength = keras.ops.abs(drawn(x, self.changes.noise_fraction, self.random))[:, None, None]
            x = x + strength * keras.random.normal(keras.ops.shape(x), seed=self.random)
        return x


def bilinear(x: Any, columns: Any, rows: Any) -> Any:
    """(B, H, W) values of images at fractional places, 0 outside.

    One gather for each of the four neighbours of all pixels; keras.ops.image.map_coordinates does this too, one image
    at a time.
    """
    ops = keras.ops
    # A frame of nothing around the images: every place outside is then in it.
    framed = ops.pad(x, ((0, 0), (1, 1), (1, 1)))
    shape = ops.shape(framed)
    count, height, width = shape[0], shape[1], shape[2]
    columns = ops.clip(columns + 1.0, 0.0, ops.cast(width, "float32") - 1.001)
    rows = ops.clip(rows + 1.0, 0.0, ops.cast(height, "float32") - 1.001)
    left, top = ops.floor(columns), ops.floor(rows)
    across, down = columns - left, rows - top
    first = ops.arange(count, dtype="int32")[:, None, None] * (height * width)
    corner = first + ops.cast(top, "int32") * width + ops.cast(left, "int32")
    flat = ops.reshape(framed, (-1,))
    upper = (1.0 - across) * ops.take(flat, corner) + across * ops.take(flat, corner + 1)
    lower = (1.0 - across) * ops.take(flat, corner + width) + across * ops.take(flat, corner + width + 1)
    return (1.0 - down) * upper + down * lower
