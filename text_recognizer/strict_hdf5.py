"""Untrusted HDF5 files: opened only if they are self-contained, and read only within their bounds.

A foreign file may reference other files on this computer, whose content would then be read as its data; it may announce
terabytes that it does not contain. If a file is damaged, the library fills a chunk that unpacks too short with whatever
is in memory, and never stops reading some heaps of strings; so here the library only locates the pieces.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError, reason
from text_recognizer.whole_files import lfs_advice

MOST_CHUNK_BYTES = 1 << 26
MOST_OBJECTS = 10_000
_PIECE_BYTES = 1 << 20
_PLACE_OF_TEXT = np.dtype([("size", "<u4"), ("address", "<u8"), ("index", "<u4")])
_HEAP = struct.Struct("<4sB3xQ")  # signature, version, size
_HEAP_OBJECT = struct.Struct("<HH4xQ")  # index, references, size


class _RefusedError(Exception):
    """Why a file is not read."""


@contextmanager
def opened(path: Path, chunked: bool = True) -> Iterator[Any]:
    """Opens an HDF5 file for reading. Read its values with `rows` and `strings`.

    Args:
        chunked: whether datasets may be stored in chunks, compressed or not. Keras writes none.
    Raises:
        DataError: there is none, it is damaged, or it references other files. h5py notices damage only when it reads
            the damaged part, and raises errors of many kinds.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}.") from None
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise DataError(f"{path} is damaged or not an HDF5 file: {reason(error)}.{lfs_advice(path)}") from None
    with file:
        try:
            state = path.stat()
            _check(path, state.st_size, (state.st_mtime_ns, state.st_ino), chunked)
            yield file
        except _RefusedError as error:
            raise DataError(f"{path} is not read: {reason(error)}.") from None
        except (OSError, LookupError, RuntimeError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
            why = str(error.args[0] if error.args else type(error).__name__).rstrip(".")
            raise DataError(f"{path} is damaged, or of another layout: {why}.") from error


def rows(dataset: Any, first: int, end: int) -> NDArray[Any]:
    """Rows of a dataset of an opened file. Raises OSError: a piece is cut short, or has another size than it says."""
    return _rows(dataset, dataset.dtype, first, end)


def strings(dataset: Any) -> Iterator[bytes]:
    """Strings (N,) as bytes, of fixed or variable length. Raises OSError: as `rows`, or a string is missing."""
    import h5py

    is_any_length = h5py.check_string_dtype(dataset.dtype).length is None
    dtype = _PLACE_OF_TEXT if is_any_length else dataset.dtype
    heaps = _Heaps(dataset.file)
    piece = max(1, _PIECE_BYTES // dtype.itemsize)
    for first in range(0, len(dataset), piece):
        values = _rows(dataset, dtype, first, first + piece).tolist()
        yield from (heaps.text(*value) for value in values) if is_any_length else values


@lru_cache(maxsize=16)
def _check(path: Path, size_bytes: int, _state: tuple[int, int], chunked: bool) -> None:
    """Checks every object of a file, once until the file changes."""
    import h5py

    with h5py.File(path, "r") as file:
        seen: set[int] = set()
        waiting = [(file.id, "/")]
        while waiting:
            group, place = waiting.pop()
            for name in group:
                inside = f"{place}{name.decode('utf-8', 'replace')}"
                if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                    raise _RefusedError(f"{inside} is a link to something else. Copy what it leads to into the file")
                found = h5py.h5o.open(group, name)
                address = h5py.h5o.get_info(found).addr
                if address in seen:
                    continue
                seen.add(address)
                if len(seen) > MOST_OBJECTS:
                    raise _RefusedError(f"it holds more than {MOST_OBJECTS:,} objects")
                if isinstance(found, h5py.h5g.GroupID):
                    waiting.append((found, f"{inside}/"))
                elif isinstance(found, h5py.h5d.DatasetID):
                    _check_dataset(found, inside, size_bytes, chunked)


def _check_dataset(dataset: Any, place: str, size_bytes: int, chunked: bool) -> None:
    import h5py

    stored = dataset.get_create_plist()
    layout = stored.get_layout()
    if stored.get_external_count() or layout == h5py.h5d.VIRTUAL:
        raise _RefusedError(f"the values of {place} are in another file. Copy them into this one")
    kind = dataset.get_type()
    is_any_length = isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
    item_bytes = _PLACE_OF_TEXT.itemsize if is_any_length else int(kind.get_size())
    most_packed = 1
    if layout == h5py.h5d.CHUNKED:
        if not chunked:
            raise _RefusedError(f"{place} is stored in chunks, expected one piece")
        chunk_bytes = math.prod(stored.get_chunk()) * item_bytes
        if chunk_bytes > MOST_CHUNK_BYTES:
            raise _RefusedError(
                f"{place} has chunks of {chunk_bytes:,} bytes, at most {MOST_CHUNK_BYTES:,} are allowed. "
                f"Write it in smaller chunks"
            )
        most_packed = max((_MOST_PACKED.get(one, 1) for one in _filters(stored, place)), default=1)
    declared_bytes = math.prod(dataset.shape) * item_bytes if dataset.shape is not None else 0
    found_bytes = min(dataset.get_storage_size(), size_bytes)
    if declared_bytes > most_packed * found_bytes:
        raise _RefusedError(f"{place} declares {declared_bytes:,} bytes, which {found_bytes:,} cannot hold")


_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF = 1, 2, 3, 32000  # as HDF5 numbers its filters
_MOST_PACKED = {_DEFLATE: 1032, _LZF: 88}  # they cannot make more bytes out of one
_ORDERS = [
    (*shuffled, *packed, *summed) for shuffled in ((), (2,)) for packed in ((), (1,), (_LZF,)) for summed in ((), (3,))
]


def _filters(stored: Any, place: str) -> tuple[int, ...]:
    """The filters of a dataset in the order of writing, each at most once, so that unpacking is bounded."""
    found = tuple(stored.get_filter(index)[0] for index in range(stored.get_nfilters()))
    if found not in _ORDERS:
        raise _RefusedError(f"{place} is packed in a way other than gzip and lzf. Write it with compression='gzip'")
    return found


def _rows(dataset: Any, dtype: np.dtype[Any], first: int, end: int) -> NDArray[Any]:
    """Reads without the library, which crashes, hangs or returns memory content if a file is damaged."""
    end = min(end, len(dataset))
    row_shape = dataset.shape[1:]
    if dataset.chunks is None:
        row_bytes = math.prod(row_shape) * dtype.itemsize
        content = _bytes_at(dataset.file, dataset.id.get_offset(), first * row_bytes, (end - first) * row_bytes)
        return np.frombuffer(content, dtype).reshape(end - first, *row_shape)
    values = np.zeros((end - first, *row_shape), dtype)
    steps = dataset.chunks
    starts = [range(first - first % steps[0], end, steps[0])]
    starts += [range(0, size, step) for size, step in zip(row_shape, steps[1:], strict=True)]
    for offset in product(*starts):
        chunk = _chunk(dataset, dtype, offset)
        if chunk is None:  # never written
            continue
        before = max(0, first - offset[0])  # rows of the chunk that were not requested
        begins = (offset[0] + before - first, *offset[1:])
        steps_left = (steps[0] - before, *steps[1:])
        place = values[tuple(slice(start, start + step) for start, step in zip(begins, steps_left, strict=True))]
        place[...] = chunk[before:][tuple(map(slice, place.shape))]
    return values


def _bytes_at(file: Any, start: int | None, offset: int, size_bytes: int) -> bytes:
    if size_bytes and start is None:
        raise OSError("values have no place in the file")
    content = os.pread(file.id.get_vfd_handle(), size_bytes, start + offset) if start is not None else b""
    if len(content) < size_bytes:
        raise OSError(f"{len(content):,} of {size_bytes:,} bytes are there")
    return content


def _chunk(dataset: Any, dtype: np.dtype[Any], offset: tuple[int, ...]) -> NDArray[Any] | None:
    expected_bytes = math.prod(dataset.chunks) * dtype.itemsize
    info = dataset.id.get_chunk_info_by_coord(offset)
    if info.byte_offset is None:
        return None
    if info.size > expected_bytes + expected_bytes // 100 + 64:
        raise OSError(f"a chunk takes {info.size:,} bytes, {expected_bytes:,} unpacked")
    content = _bytes_at(dataset.file, info.byte_offset, 0, info.size)
    filters = _filters(dataset.id.get_create_plist(), dataset.name)
    for position, kind in reversed(list(enumerate(filters))):
        if info.filter_mask >> position & 1:
            continue
        if kind == _FLETCHER32:
            content = content[:-4]
        elif kind == _DEFLATE:
            content = _inflated(content, expected_bytes)
        elif kind == _LZF:
            content = _unpacked_lzf(content, expected_bytes)
        elif len(content) % dtype.itemsize == 0:
            content = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    if len(content) != expected_bytes:
        raise OSError(f"a chunk holds {len(content):,} bytes, expected {expected_bytes:,}")
    return np.frombuffer(content, dtype).reshape(dataset.chunks)


def _inflated(content: bytes, expected_bytes: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, expected_bytes + 1)
    except zlib.error as error:
        raise OSError(f"a chunk cannot be unpacked: {error}") from None
    if not unpacker.eof:
        raise OSError(f"a chunk is cut short, or unpacks to more than {expected_bytes:,} bytes")
    return unpacked


def _unpacked_lzf(content: bytes, expected_bytes: int) -> bytes:
    """Literal runs of up to 32 bytes, and repetitions of up to 264 bytes from at most 8,192 bytes before.

    Source: Lehmann, "LibLZF", lzf_d.c.
    """
    unpacked, at = bytearray(), 0
    try:
        while at < len(content) and len(unpacked) <= expected_bytes:
            control, at = content[at], at + 1
            if control < 32:
                unpacked += content[at : at + control + 1]
                at += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length, at = length + content[at], at + 1
            distance, at = ((control & 31) << 8) + content[at] + 1, at + 1
            if distance > len(unpacked):
                raise OSError("a chunk repeats what is before its beginning")
            start = len(unpacked) - distance
            repeated = unpacked[start : start + length]
            unpacked += repeated if len(repeated) == length else (repeated * (length // distance + 1))[:length]
    except IndexError:
        raise OSError("a chunk is cut short") from None
    return bytes(unpacked)


class _Heaps:
    """Variable-length strings are stored in heaps, many in each.

    Source: The HDF Group, "HDF5 File Format Specification", section "Disk Format: Level 1E - Global Heap".
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left_bytes = os.fstat(file.id.get_vfd_handle()).st_size
        self._heaps: dict[int, dict[int, bytes]] = {}

    def text(self, size_bytes: int, address: int, index: int) -> bytes:
        if size_bytes == 0:
            return b""
        if address not in self._heaps:
            self._heaps[address] = self._read(address)
        found = self._heaps[address].get(index, b"")
        if len(found) < size_bytes:
            raise OSError(f"a text of {size_bytes:,} bytes has no place in the file")
        return found[:size_bytes].rstrip(b"\0")

    def _read(self, address: int) -> dict[int, bytes]:
        start = self._file.userblock_size + address
        signature, version, size_bytes = _HEAP.unpack(_bytes_at(self._file, start, 0, _HEAP.size))
        # Heaps do not overlap, so all together are no larger than the file.
        if signature != b"GCOL" or version != 1 or not _HEAP.size <= size_bytes <= self._left_bytes:
            raise OSError("a heap of texts is damaged")
        self._left_bytes -= size_bytes
        content = _bytes_at(self._file, start, 0, size_bytes)
        found, at = {}, _HEAP.size
        while at + _HEAP_OBJECT.size <= size_bytes:
            index, _, object_bytes = _HEAP_OBJECT.unpack_from(content, at)
            at += _HEAP_OBJECT.size
            if index == 0 or object_bytes > size_bytes - at:  # the rest is free
                break
            found[index] = content[at : at + object_bytes]
            at += object_bytes + -object_bytes % 8
        return found
