"""The MATLAB files of EMNIST: one struct with train and test, each with images and labels."""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.matlab import Value, read_variable
from text_recognizer.errors import DataError


def read_emnist_mat(content: bytes, name: str) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The parts "train" and "test": images (N, H, W) and labels (N,).

    An image lies in its row column by column, so rows and columns are swapped here, as in the idx files of EMNIST.

    Args:
        name: how messages name the file.
    Raises:
        DataError: the file is damaged or has another layout.
    """
    dataset = read_variable(content, "dataset", name)
    return {part: _read_part(dataset, part, f"{name}, {part}") for part in ("train", "test")}


def _read_part(dataset: Value, part: str, place: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images, labels = (_bytes_in(dataset, part, kind, place) for kind in ("images", "labels"))
    side = math.isqrt(images.shape[1])
    if side * side != images.shape[1] or not images.size:
        raise DataError(f"{place}: {images.shape[0]:,} images of {images.shape[1]:,} pixels each are not square.")
    if labels.size != len(images):
        raise DataError(f"{place}: {len(images):,} images but {labels.size:,} labels.")
    return images.reshape(-1, side, side), labels.reshape(-1)


def _bytes_in(value: Value, part: str, kind: str, place: str) -> NDArray[np.uint8]:
    for field in (part, kind):
        value = value.get(field) if isinstance(value, dict) else None
    if not isinstance(value, np.ndarray) or value.ndim != 2:
        raise DataError(f"{place}: the file has no matrix dataset.{part}.{kind}.")
    with np.errstate(invalid="ignore"):
        as_bytes = value.astype(np.uint8, copy=False)
    if value.dtype != np.uint8 and not np.array_equal(value, as_bytes):
        raise DataError(f"{place}: {kind} must be whole numbers from 0 to 255.")
    return as_bytes
