"""idx files, the format of MNIST: a header of big-endian sizes, then one byte per value; plain or gzip."""

import gzip
import math
import zlib
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.packed import check_unpacked
from text_recognizer.errors import DataError, reason

_KINDS = {1: "labels", 3: "images"}
_GZIP = b"\x1f\x8b"
_PIECE_BYTES = 1 << 22  # whole files would be in memory twice


def read_idx(file: IO[bytes], name: str, dimensions: int, stored_bytes: int) -> NDArray[np.uint8]:
    """Reads the array of an open idx file, plain or gzip. Raises DataError: damaged, truncated, too long, wrong type.

    Args:
        dimensions: 3 for images, 1 for labels.
        stored_bytes: size of the file on disk, or of its archive.
    """
    try:
        is_gzip = file.read(2) == _GZIP
        file.seek(0)
        values = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if is_gzip else file
        return _read(values, name, dimensions, stored_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is damaged, its gzip data cannot be unpacked: {reason(error)}.") from error


def _read(file: IO[bytes], name: str, dimensions: int, stored_bytes: int) -> NDArray[np.uint8]:
    shape = _read_header(file, name, dimensions)
    expected_bytes = math.prod(shape)
    described = f"its header says {' x '.join(f'{size:,}' for size in shape)} values ({expected_bytes:,} bytes)"
    check_unpacked(name, expected_bytes, stored_bytes)
    values = np.empty(expected_bytes, np.uint8)
    done = 0
    while done < expected_bytes and (piece := file.read(min(_PIECE_BYTES, expected_bytes - done))):
        values[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    if done < expected_bytes:
        raise DataError(f"{name} is cut short: {described}, found {done:,}.")
    if file.read(1):
        raise DataError(f"{name} is too long: {described}, but more follow.")
    return values.reshape(shape)


def _read_header(file: IO[bytes], name: str, dimensions: int) -> tuple[int, ...]:
    magic, expected = file.read(4), bytes((0, 0, 8, dimensions))
    if magic != expected:
        raise DataError(
            f"{name} is not an idx file of uint8 values with {dimensions} dimensions ({_KINDS[dimensions]}): it begins "
            f"with {magic.hex(' ') or 'nothing'}, expected {expected.hex(' ')}."
        )
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"{name} is cut short: {4 + len(sizes)} bytes, its header alone takes {4 + 4 * dimensions}.")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if 0 in shape:
        raise DataError(f"{name} holds nothing: its header says {' x '.join(map(str, shape))} values.")
    return shape
