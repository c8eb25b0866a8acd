"""Lines in one HDF5 file, in one of two layouts.

Flor et al. (2020): the groups train, valid and test each hold `dt` uint8 (N, width, height), images of dark ink on
white, lying on their sides and padded with white, and `gt`, texts in UTF-8.

The Full Stack Deep Learning recogniser (iam_lines.h5, ml_34_….h5): `x_train` and `x_test` uint8 (N, height, width),
light ink on black; `y_train` and `y_test` ids of characters (N, length), or one-hot (N, length, 80), padded with the
last.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.formats.packed import most_unpacked_bytes
from text_recognizer.errors import DataError
from text_recognizer.strict_hdf5 import opened, rows, strings

Grey = NDArray[np.uint8]

PARTS: dict[str, SplitName] = {"train": "train", "valid": "validation", "test": "test"}
FSDL_PARTS: dict[str, SplitName] = {"x_train": "train", "x_test": "test"}
FSDL_SYMBOLS = digits + ascii_uppercase + ascii_lowercase + " !\"#&'()*+,-./:;?" + "_"  # the last is padding
WHITE = 255
LINES_A_PIECE = 64
MOST_PICTURE_PIXELS = 1 << 21  # 128 MB for the lines read at a time
MOST_LINES = 1_000_000
_MOST_TIMES = 300  # maximum compression ratio; short words on wide white paper reach 200
_ALWAYS_LINES = 1000
_BYTES_A_LINE = 50  # minimum size per line in the file, if it has many lines
MOST_TEXT_BYTES = 100_000  # per line
MOST_TEXTS_BYTES = 1 << 27  # per part
_MOST_PIECE_BYTES = 1 << 25
_SMALL_CHUNK_BYTES = 1 << 20  # h5py's default chunks are not larger


def read_texts(path: Path) -> dict[str, list[str]]:
    """The texts of each part in the file. Raises DataError: it is damaged or of another layout; not UTF-8."""
    found = {}
    with opened(path) as file:
        for part in (*PARTS, *FSDL_PARTS):
            if part not in file:
                continue
            pictures, texts = _columns(file, part, path)
            if len(pictures) != len(texts):
                raise DataError(f"{path}, {part}: {len(pictures):,} images but {len(texts):,} texts.")
            read = _texts_of_labels if part in FSDL_PARTS else _texts
            found[part] = list(read(texts, f"{path}, {part}"))
    if not found:
        raise DataError(f"{path} has none of the groups {', '.join(PARTS)}, and neither {' nor '.join(FSDL_PARTS)}.")
    return found


def lines_a_piece(path: Path, part: str) -> int:
    """Number of lines to read at a time: those of a chunk. Raises DataError: the file is damaged."""
    with opened(path) as file:
        return _rows_a_piece(_columns(file, part, path)[0])


def read_pictures(path: Path, part: str, first: int, end: int) -> list[Grey]:
    """Images (height, W), upright, without white columns at the right. Raises DataError: the file is damaged."""
    with opened(path) as file:
        pictures = rows(_columns(file, part, path)[0], first, end)
    upright = np.invert(pictures) if part in FSDL_PARTS else pictures.swapaxes(1, 2)
    ends = [np.flatnonzero((picture != WHITE).any(axis=0))[-1:] for picture in upright]  # of the ink; none if blank
    return [picture[:, : int(end.sum()) + 1] for picture, end in zip(upright, ends, strict=True)]


def _columns(file: Any, part: str, path: Path) -> tuple[Any, Any]:
    place = f"{path}, {part}"
    pictures, texts = _fsdl_columns(file, part, place) if part in FSDL_PARTS else _flor_columns(file[part], place)
    _check_sizes(pictures, texts, place)
    return pictures, texts


def _flor_columns(group: Any, place: str) -> tuple[Any, Any]:
    import h5py

    if not isinstance(group, h5py.Group):
        raise DataError(f"{place}: expected a group with the datasets dt and gt. It is {_described(group)}.")
    if "dt" not in group or "gt" not in group:
        raise DataError(f"{place}: expected the datasets dt and gt. It has: {', '.join(group) or 'none'}.")
    pictures, texts = group["dt"], group["gt"]
    if not isinstance(pictures, h5py.Dataset) or pictures.ndim != 3 or pictures.dtype != np.uint8:
        raise DataError(f"{place}: dt must be uint8 (lines, width, height). Received: {_described(pictures)}.")
    if not isinstance(texts, h5py.Dataset) or texts.ndim != 1 or h5py.check_string_dtype(texts.dtype) is None:
        raise DataError(f"{place}: gt must be texts (lines,). Received: {_described(texts)}.")
    return pictures, texts


def _fsdl_columns(file: Any, part: str, place: str) -> tuple[Any, Any]:
    import h5py

    pictures, labels = file[part], file.get(f"y{part[1:]}")
    if labels is None:
        raise DataError(f"{place} has no y{part[1:]} with its texts.")
    if not isinstance(pictures, h5py.Dataset) or pictures.ndim != 3 or pictures.dtype != np.uint8:
        raise DataError(f"{place} must be uint8 (lines, height, width). Received: {_described(pictures)}.")
    shape = tuple(labels.shape) if isinstance(labels, h5py.Dataset) and labels.dtype.kind in "uif" else ()
    if len(shape) not in (2, 3) or shape[2:] not in ((), (len(FSDL_SYMBOLS),)):
        raise DataError(
            f"{place}: y{part[1:]} must be ids of characters (lines, length), or one-hot (lines, length, "
            f"{len(FSDL_SYMBOLS)}). Received: {_described(labels)}."
        )
    return pictures, labels


def _check_sizes(pictures: Any, texts: Any, place: str) -> None:
    """Refuses data that would take more memory or time to read than a file of this size can need."""
    pixels, size_bytes = math.prod(pictures.shape[1:]), pictures.file.id.get_filesize()
    limits = (
        (pixels, MOST_PICTURE_PIXELS, "pixels per image"),
        (len(pictures), min(MOST_LINES, max(_ALWAYS_LINES, size_bytes // _BYTES_A_LINE)), "lines"),
        (pictures.nbytes, most_unpacked_bytes(size_bytes, _MOST_TIMES), "bytes of images"),
        (math.prod(texts.shape[1:]) * texts.dtype.itemsize, MOST_TEXT_BYTES, "bytes per text"),
    )
    for found, most, what in limits:
        if found > most:
            raise DataError(
                f"{place} has {found:,} {what}, at most {most:,} can be read from a file of {size_bytes:,} bytes. "
                f"If that is right, write it in several files, or without compression."
            )
    most_bytes = max(_SMALL_CHUNK_BYTES, pixels * LINES_A_PIECE)
    for column in (pictures, texts):
        if column.chunks and math.prod(column.chunks) * column.dtype.itemsize > most_bytes:
            raise DataError(
                f"{place}: {column.name} has chunks of the shape {column.chunks}, too large to read a few lines at a "
                f"time. Write it with the chunks that h5py chooses (chunks=True)."
            )


def _texts(column: Any, place: str) -> Iterator[str]:
    total_bytes = 0
    for row, text in enumerate(strings(column)):
        total_bytes += len(text)
        if len(text) > MOST_TEXT_BYTES or total_bytes > MOST_TEXTS_BYTES:
            raise DataError(f"{place}, line {row}: its text or all texts together are too long for texts of lines.")
        try:
            yield text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{place}, line {row}: its text is not UTF-8: {error.reason} at byte {error.start}."
            ) from None


def _rows_a_piece(column: Any) -> int:
    row_bytes: int = max(1, math.prod(column.shape[1:]) * column.dtype.itemsize)
    chunk_rows: int = column.chunks[0] if column.chunks else 0
    return max(LINES_A_PIECE, min(chunk_rows, _MOST_PIECE_BYTES // row_bytes))


def _texts_of_labels(labels: Any, place: str) -> Iterator[str]:
    step = _rows_a_piece(labels)
    for first in range(0, len(labels), step):
        found = rows(labels, first, first + step)
        ids = found.argmax(axis=2) if found.ndim == 3 else found  # (lines, length)
        for row, line in enumerate(ids.tolist(), first):
            if not all(0 <= one < len(FSDL_SYMBOLS) for one in line):
                raise DataError(f"{place}, line {row}: its label has ids other than 0 to {len(FSDL_SYMBOLS) - 1}.")
            yield "".join(FSDL_SYMBOLS[int(one)] for one in line).rstrip(FSDL_SYMBOLS[-1])


def _described(found: Any) -> str:
    return f"{found.dtype} {found.shape}" if hasattr(found, "shape") else f"a {type(found).__name__.lower()}"
