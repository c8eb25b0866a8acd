"""Random changes of text lines. Importing this module imports Keras."""

from typing import Any

import keras
import numpy as np

from text_recognizer.augmentation.random_affine import drawn
from text_recognizer.augmentation.recipes import LineAffine, LineWorn
from text_recognizer.datasets.base import WIDTH_STEP_PX

# Rotation moves the ends of a line up or down by at most this share of its height, however long it is.
MOST_RISE = 0.15
SPANS = 4  # maximum number of masked spans in a worn line
GREATEST_REACH = 0.25  # maximum share of its height that a neighbouring line covers


class RandomLine(keras.layers.Layer):  # type: ignore[misc]
    """Changes each line as if by another writer, pen or paper: form in one interpolation, then stroke and shade.

    Maps uint8 images and true widths to the same; without `training`, they are returned unchanged. A line that becomes
    narrower keeps its width, so that no frame is lost for its label. One that becomes wider stays within its padding;
    for stretched lines, the batch is widened, unless all lines of the dataset have one width.

    The local changes vary four properties smoothly along the line: position of the letters, slant, height, baseline.
    They replace the elastic distortions of Simard, Steinkraus and Platt (2003), "Best practices for convolutional
    neural networks applied to visual document analysis", in the directions in which handwriting varies.
    """

    columns: tuple[str, ...] = ("image", "width")  # columns of a batch that it takes and returns

    def __init__(self, changes: LineAffine, background: int, seed: int, is_width_fixed: bool = False) -> None:
        super().__init__(dtype="float32")
        self.changes = changes
        self.gives_room = bool(changes.stretch_fraction) and not is_width_fixed
        self.slope = float(np.tan(np.deg2rad(changes.rotation_degrees)))
        self.slant = float(np.tan(np.deg2rad(changes.shear_degrees)))
        self.background = background  # level of the paper
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images: Any, widths: Any, training: bool = False) -> Any:
        """(B, H, W, 1) uint8 and (B,) to the same."""
        if not training:
            return images, widths
        # As ink on zero background, like padding.
        x = keras.ops.abs(keras.ops.cast(images, "float32") - self.background)[..., 0] / 255.0
        changes = self.changes
        sizes = (changes.zoom_fraction, changes.stretch_fraction, changes.margin_fraction)
        if any((self.slope, self.slant, *sizes, changes.shift_fraction, changes.local_fraction)):
            x, widths = self._formed(x, widths)
        # Padding stays 0: it is not paper.
        x = keras.ops.where(inside(x, widths), self.shaded(self.stroked(x)), 0.0)
        ink = keras.ops.round(255.0 * keras.ops.clip(x, 0.0, 1.0))
        return keras.ops.cast(keras.ops.abs(self.background - ink), "uint8")[..., None], widths

    def _formed(self, x: Any, widths: Any) -> Any:
        """(B, H, W) and (B,): resampled with rotation, slant, zoom, shift and local changes."""
        ops, changes, height = keras.ops, self.changes, x.shape[1]
        true = ops.maximum(ops.cast(widths, "float32"), 1.0)
        wider, taller = (1.0 + drawn(x, changes.zoom_fraction, self.random) for _ in range(2))
        wider = wider * ops.exp(drawn(x, float(np.log1p(changes.stretch_fraction)), self.random))
        margin = ops.abs(drawn(x, changes.margin_fraction, self.random))
        wider, taller = wider / (1.0 + 2.0 * margin), taller / (1.0 + 2.0 * margin)
        shift = drawn(x, changes.shift_fraction, self.random) + drawn(x, 1.0, self.random) * margin
        shift = shift * height
        paper = paper_of(x, widths)
        x = ops.where(inside(x, widths), x - paper, 0.0)  # so that pixels from outside a line are paper
        if self.gives_room:
            x = widened(x, ops.max(ops.ceil(true * wider)))
        width = ops.shape(x)[2]
        full = ops.cast(width, "float32")
        wider = ops.minimum(wider, full / true)
        steepest = ops.minimum(self.slope, 2.0 * MOST_RISE * height / true)
        slope, slant = drawn(x, 1.0, self.random) * steepest, drawn(x, self.slant, self.random)

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
        formed = bilinear(x, source_x, source_y + (height - 1) / 2.0) + paper
        grown = ops.minimum(ops.ceil(true * wider), full)
        return formed, ops.maximum(ops.cast(grown, widths.dtype), widths)

    def _wandering(self, x: Any, height: int, width: Any) -> Any:
        """Four smooth random curves (B, 1, W) along the line, through a random value every line height."""
        ops = keras.ops
        places = ops.arange(width, dtype="float32") / float(height)
        left = ops.floor(places)
        part = places - left
        part = part * part * (3.0 - 2.0 * part)  # slope 0 at the given values, so without kinks
        left = ops.cast(left, "int32")
        shape = (ops.shape(x)[0], width // height + 2, 4)
        knots = keras.random.normal(shape, 0.0, self.changes.local_fraction, seed=self.random)
        course = (1.0 - part)[None, :, None] * ops.take(knots, left, axis=1)
        course = course + part[None, :, None] * ops.take(knots, left + 1, axis=1)  # (B, W, 4)
        return [course[:, None, :, index] for index in range(4)]

    def stroked(self, x: Any) -> Any:
        """Makes strokes thicker or thinner, by mixing with the strongest or weakest ink around each pixel."""
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


class RandomWornLine(RandomLine):
    """The changes of RandomLine, then those of a worn page; all except the mask keep the ink readable."""

    changes: LineWorn

    def shaded(self, x: Any) -> Any:
        """(B, H, W) ink, 0 to 1, with the changes of a worn page."""
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
        """The bottom of another line of the batch intrudes from above, the top of a third from below."""
        ops = keras.ops
        height = x.shape[1]
        row = ops.arange(height, dtype="float32")[None, :, None]
        for line, side in ((ops.roll(x, 1, axis=0), 1.0), (ops.roll(x, 2, axis=0), -1.0)):
            reach = self._sometimes(x, self.changes.intrusion_fraction) * GREATEST_REACH * height
            away = ops.ceil(height - reach[:, None, None])
            source = row + side * away  # row of the neighbour that is shown here
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
        """Spans of the line without ink: they must be read from their context."""
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


def inside(x: Any, widths: Any) -> Any:
    """(B, H, W) which pixels belong to lines of those widths (B,)."""
    columns = keras.ops.arange(keras.ops.shape(x)[2], dtype="int32")
    return keras.ops.broadcast_to(columns < widths[:, None, None], keras.ops.shape(x))


def paper_of(x: Any, widths: Any) -> Any:
    """(B, 1, 1) the level of each line's paper: the mean of the pixels with less ink than the line's mean."""
    ops = keras.ops

    def mean(chosen: Any) -> Any:
        count = ops.sum(ops.cast(chosen, "float32"), axis=(1, 2), keepdims=True)
        return ops.sum(ops.where(chosen, x, 0.0), axis=(1, 2), keepdims=True) / ops.maximum(count, 1.0)

    within = inside(x, widths)
    return mean(ops.logical_and(within, x <= mean(within)))


def widened(x: Any, width: Any) -> Any:
    """(B, H, W) padded with 0 on the right, so that a line of that width fits."""
    missing = keras.ops.maximum(keras.ops.cast(width, "int32") - keras.ops.shape(x)[2], 0)
    missing = -(-missing // WIDTH_STEP_PX) * WIDTH_STEP_PX
    return keras.ops.pad(x, ((0, 0), (0, 0), (0, missing)))


def bilinear(x: Any, columns: Any, rows: Any) -> Any:
    """(B, H, W) values of images at fractional positions, 0 outside.

    One gather for each of the four neighbours of all pixels; keras.ops.image.map_coordinates handles one image at a
    time.
    """
    ops = keras.ops
    # A border of 0 around the images, for every position outside.
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
