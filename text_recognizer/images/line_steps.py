"""Preprocessing steps for images of lines, applied in the order given."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Step = Literal["contrast", "illumination", "deslant"]

BLANK_LEVELS = 16  # an image with fewer levels between its lightest and darkest parts is blank
_SHEARS = np.linspace(-1, 1, 9)


def stretch_contrast(image: Grey) -> Grey:
    """Maps the paper (the median) to white and the ink (the darkest hundredth) to black."""
    ink, paper = levels_of(image, 0.01, 0.5)
    if paper - ink < BLANK_LEVELS / 2:
        return image
    table = np.rint(np.clip((np.arange(256) - ink) * (255 / (paper - ink)), 0, 255))
    return np.asarray(table.astype(np.uint8)[image], np.uint8)


def even_illumination(image: Grey) -> Grey:
    """Divides an image by the brightness of its paper, which is the lightest level of the neighbourhood.

    Dark ink on light paper. The goal is that of Chen, Chen and Chang (2012), "Efficient illumination compensation
    techniques for text images"; here the paper is estimated on a grid of cells an eighth of a line high.
    """
    from PIL import Image, ImageFilter

    height, width = image.shape
    cell = max(2, height // 8)
    padded = np.pad(image, ((0, -height % cell), (0, -width % cell)), mode="edge")
    strips = padded.reshape(-1, cell, padded.shape[1]).max(axis=1)  # one axis after the other is faster
    cells = strips.reshape(len(strips), -1, cell).max(axis=2)  # (rows, columns)
    grid = Image.fromarray(cells).filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.BoxBlur(2))
    paper = np.asarray(grid.resize((padded.shape[1], padded.shape[0]), Image.Resampling.BILINEAR))[:height, :width]
    # Integers: 255 x 255 fits 16 bits.
    return np.asarray(np.minimum(image.astype(np.uint16) * 255 // np.maximum(paper, 1), 255), np.uint8)


def deslant(image: Grey) -> Grey:
    """Shears a line so that its strokes are upright; dark ink on light paper.

    Of nine shears, chooses the one whose columns have the most unbroken ink.

    Source: Vinciarelli and Luettin (2001), "A new normalization technique for cursive handwritten words".
    """
    from PIL import Image

    shear = float(_SHEARS[int(np.argmax(_upright_ink(image)))])
    if shear == 0:
        return image
    height, width = image.shape
    wider = width + math.ceil(abs(shear) * height)
    shift = -shear * height if shear > 0 else 0.0
    sheared = Image.fromarray(image).transform(
        (wider, height),
        Image.Transform.AFFINE,
        (1, shear, shift, 0, 1, 0),  # (x, y) of the result comes from (x + shear * y + shift, y)
        Image.Resampling.BILINEAR,
        fillcolor=levels_of(image, 0.5)[0],
    )
    return np.asarray(sheared)


def _upright_ink(image: Grey) -> NDArray[np.float64]:
    """For each shear: the sum of squared ink over columns without a gap in their ink.

    A row of ink is one integer with a bit per pixel, so that all columns are processed together.
    """
    height = image.shape[0]
    packed = np.packbits(image < _otsu(image), axis=1, bitorder="little")
    rows = [int.from_bytes(row.tobytes(), "little") for row in packed]  # top to bottom
    scores = np.zeros(len(_SHEARS))
    for index, shear in enumerate(_SHEARS):
        shifts = (np.rint(shear * (height - np.arange(height))).astype(np.int64) + height).tolist()
        seen = above = broken = 0
        planes: list[int] = []  # bit planes of each column's count of ink: ones, twos, fours, …
        for row, shift in zip(rows, shifts, strict=True):
            ink = carry = row << shift
            broken |= ink & seen & ~above
            seen |= ink
            above = ink
            for place, plane in enumerate(planes):
                planes[place], carry = plane ^ carry, plane & carry
            if carry:
                planes.append(carry)
        unbroken = [plane & ~broken for plane in planes]
        scores[index] = sum(
            (first & second).bit_count() << (i + j)
            for i, first in enumerate(unbroken)
            for j, second in enumerate(unbroken)
        )
    return scores


def _otsu(image: Grey) -> int:
    """The threshold between ink and paper with the largest variance between the two; ink is below it.

    Source: Otsu (1979), "A threshold selection method from gray-level histograms".
    """
    histogram = histogram_of(image).astype(np.float64)
    below = np.cumsum(histogram)
    above = below[-1] - below
    mass = np.cumsum(histogram * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * np.square(mass / below - (mass[-1] - mass) / above)
    return int(np.nanargmax(between)) + 1


def levels_of(image: Grey, *shares: float) -> list[int]:
    """Quantiles of the grey levels, for these shares of the pixels."""
    counts = np.cumsum(histogram_of(image))
    return [int(level) for level in np.searchsorted(counts, np.array(shares) * counts[-1])]


def histogram_of(image: Grey) -> NDArray[np.int64]:
    """(256,) pixels of each level."""
    from PIL import Image

    return np.array(Image.fromarray(image).histogram(), np.int64)


STEPS: dict[Any, Callable[[Grey], Grey]] = {
    "contrast": stretch_contrast,
    "illumination": even_illumination,
    "deslant": deslant,
}
