"""Reads images from any source and converts them to a dataset's form: grey, ink polarity, size."""

import io
import math
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import INK_THRESHOLD, centred, cut_to, fitted_size, resized
from text_recognizer.images.grey import as_grey, read_grey

ImageSource = str | PathLike[str] | bytes | BinaryIO | NDArray[Any]

_CHARACTER_PIXELS = 1 << 22  # a larger image of one character is scaled down first


def read_image(source: ImageSource) -> NDArray[np.uint8]:
    """A grey image (H, W) uint8, rotated upright by its EXIF tag; transparent pixels become white.

    Args:
        source: a path, an open binary file, the bytes of one, or an array: (H, W) or (H, W, 1, 3 or 4), uint8 or
            floats from 0 to 1.
    Raises:
        DataError: no such file, not an image, or an array of another form.
    """
    if isinstance(source, np.ndarray):
        return _grey_array(source)
    if not isinstance(source, (str, PathLike, bytes)) and not hasattr(source, "read"):
        raise DataError(
            "an image must be a path, bytes, an open binary file or an array (of a PIL image: "
            f"numpy.asarray(image.convert('L'))). Received: {type(source).__name__}."
        )
    return read_grey(io.BytesIO(source) if isinstance(source, bytes) else source)


def fit_to(image: NDArray[np.uint8], data_spec: DataSpec, name: str = "the image") -> NDArray[np.uint8]:
    """An image in the form of the dataset: its ink polarity, the character's box centred and scaled.

    An image that already has the dataset's size keeps its position and scale, unless the dataset crops images to their
    strokes and these are more than a pixel away from where they would be.

    Args:
        image: (H, W) grey.
    Returns:
        (H, W, 1) of data_spec.input_shape.
    Raises:
        DataError: the image is blank.
    """
    from PIL import Image

    height, width, _ = data_spec.input_shape
    most_pixels = max(_CHARACTER_PIXELS, height * width)
    small = image
    if image.size > most_pixels:
        small = np.asarray(Image.fromarray(image).reduce(math.ceil(math.sqrt(image.size / most_pixels))))
    ink = _ink(small)
    if ink.max(initial=0.0) < 8 / 255:
        why = "is blank: nothing in it stands out from its background."
        raise DataError(f"{name} {why}", common=why)
    is_of_size = image.shape == (height, width)
    if not is_of_size or data_spec.cut:
        ink = ink / np.max(ink)
        how = data_spec.preprocessing
        box, shape, margin_px = cut_to(ink > INK_THRESHOLD), (height, width), data_spec.margin_px
        size = fitted_size(ink[box].shape, shape, margin_px, "stretch" in how, "keep_small" not in how)
        place = centred(size, shape)
        moves = [
            abs(at - to) for a, b in zip(box, place, strict=True) for at, to in ((a.start, b.start), (a.stop, b.stop))
        ]
        if not is_of_size or max(moves) > 1:
            fitted = np.asarray(resized(Image.fromarray(ink[box]), size))
            ink = np.zeros(shape, np.float32)
            ink[place] = fitted if data_spec.cut else fitted / fitted.max()
    levels = np.rint(255 * ink).astype(np.uint8)
    return (levels if data_spec.ink == "light" else 255 - levels)[..., None]


def png_bytes(image: NDArray[np.uint8], scale: int = 1) -> bytes:
    """A grey image (H, W) or (H, W, 1) as a PNG file, each pixel shown as a square of `scale` pixels."""
    from PIL import Image

    grey = image[..., 0] if image.ndim == 3 else image
    buffer = io.BytesIO()
    Image.fromarray(np.kron(grey, np.ones((scale, scale), dtype=np.uint8))).save(buffer, format="PNG")
    return buffer.getvalue()


def _grey_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise DataError(f"an image array must be (H, W) or (H, W, 1, 3 or 4). Received: shape {array.shape}.")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise DataError("an image array of floats must hold values from 0 to 1.")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise DataError(f"an image array must be uint8 or floats from 0 to 1. Received: {array.dtype}.")
    if array.ndim == 2:
        return array
    if array.shape[2] == 1:
        return array[..., 0]
    from PIL import Image

    return as_grey(Image.fromarray(array))


def _ink(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) strength of the ink, 0 to 1: the distance from the background, which is the border's median."""
    border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    background = float(np.median(border))
    levels = image.astype(np.float32)
    lighter, darker = levels.max() - background, background - levels.min()
    # The dataset's own images are not stretched: their darkest stroke may be grey.
    return np.asarray(np.clip((levels - background) / (255 if lighter >= darker else -255), 0, 1))
