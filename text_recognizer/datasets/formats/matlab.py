"""MATLAB files of version 5 to 7: numbers and structs of them, every length checked against what is there.

scipy.io.loadmat reads more kinds of files, but crashes the process on some damaged ones (scipy 1.17).

Source: The MathWorks, "MAT-File Format".
"""

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.packed import most_unpacked_bytes
from text_recognizer.errors import DataError

Value = NDArray[Any] | dict[str, "Value"] | None

_HEADER_BYTES = 128
_DEEPEST_STRUCT = 8
_PIECE_BYTES = 1 << 20
_MOST_FIELDS = 1000
_LONGEST_LIST_BYTES = 1024  # of sizes, flags and names
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_STRUCT_CLASS = 2
_NUMBER_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX_FLAG = 0x800


class _Damaged(Exception):  # noqa: N818 - becomes a DataError that names the file
    pass


def read_variable(content: bytes, variable: str, name: str) -> Value:
    """One variable of a file: an array, or a dict for a struct.

    Whatever is neither numbers nor a single struct (text, cells, complex numbers, …) is None.

    Args:
        name: how messages name the file.
    Raises:
        DataError: the file is damaged, of another version, or has no such variable.
    """
    try:
        if content[:8] == b"\x89HDF\r\n\x1a\n" or content[124:126] == b"\x00\x02":
            raise _Damaged("it is of version 7.3; save it with -v7")
        if len(content) < _HEADER_BYTES or content[126:128] not in (b"IM", b"MI"):
            raise _Damaged("it does not begin like one")
        order = "<" if content[126:128] == b"IM" else ">"
        budget = _Budget(most_unpacked_bytes(len(content)))
        elements = _Elements(memoryview(content)[_HEADER_BYTES:], order)
        while elements.remaining_bytes:
            kind, data = elements.next()
            if kind == _COMPRESSED:
                kind, data = _inflated(data, order, budget)
            if kind == _MATRIX:
                inside = _Elements(data, order)
                inside.next(_UINT32)
                inside.next(_INT32)
                if bytes(inside.short(_INT8)).decode("latin-1") == variable:
                    return _matrix(data, order, 1, budget)
    except _Damaged as error:
        raise DataError(f"{name} is damaged or not a MATLAB file of version 5 to 7: {error}.") from None
    raise DataError(f"{name} has no variable '{variable}'.")


class _Budget:
    """How many bytes a file may still become, unpacked and widened to the types of its matrices."""

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes

    def take(self, size_bytes: int) -> None:
        if size_bytes > self.left_bytes:
            raise _Damaged(
                f"it announces {size_bytes:,} bytes where a file of its size can be expected to hold "
                f"{self.left_bytes:,} more. If it is right, save it with -v6, which packs nothing"
            )
        self.left_bytes -= size_bytes


class _Elements:
    """Walks over data elements: a tag with type and length, then the data, padded to eight bytes."""

    def __init__(self, data: memoryview, order: str) -> None:
        self.data = data
        self.order = order
        self.position = 0

    @property
    def remaining_bytes(self) -> int:
        return max(len(self.data) - self.position, 0)

    def next(self, wanted: int | None = None) -> tuple[int, memoryview]:
        """Type and data of the next element.

        Args:
            wanted: the type that it must have.
        """
        word = self._word()
        if word >> 16:  # a small element: length and type share the first word, up to four bytes follow
            kind, size_bytes = word & 0xFFFF, word >> 16
            data = self._take(4)[:size_bytes]
        else:
            kind, size_bytes = word, self._word()
            data = self._take(size_bytes)
            self.position += 0 if kind == _COMPRESSED else -size_bytes % 8
        if len(data) < size_bytes or wanted not in (None, kind):
            raise _Damaged(f"an element of type {kind} with {size_bytes:,} bytes has no place there")
        return kind, data

    def numbers(self, wanted: int) -> list[int]:
        return [int(number) for number in _numbers(wanted, self.short(wanted), self.order)]

    def short(self, wanted: int) -> memoryview:
        """The data of an element that is never long."""
        _, data = self.next(wanted)
        if len(data) > _LONGEST_LIST_BYTES:
            raise _Damaged(f"a name or a list of sizes takes {len(data):,} bytes")
        return data

    def _word(self) -> int:
        return int(np.frombuffer(self._take(4), f"{self.order}u4")[0])

    def _take(self, size_bytes: int) -> memoryview:
        if size_bytes > self.remaining_bytes:
            raise _Damaged(f"it is cut short: {size_bytes:,} bytes expected, {self.remaining_bytes:,} found")
        self.position += size_bytes
        return self.data[self.position - size_bytes : self.position]


def _inflated(data: memoryview, order: str, budget: _Budget) -> tuple[int, memoryview]:
    """Type and data of the element that is packed in another one."""
    unpacker = zlib.decompressobj()
    try:
        tag = np.frombuffer(unpacker.decompress(data[:_PIECE_BYTES], 8), f"{order}u4")
        if len(tag) < 2:
            raise _Damaged("its packed data is cut short")
        budget.take(int(tag[1]))
        body = bytearray(int(tag[1]))
        done, read = 0, min(_PIECE_BYTES, len(data))
        waiting: bytes | memoryview = unpacker.unconsumed_tail
        while done < len(body) and not unpacker.eof and (waiting or read < len(data)):
            if not waiting:
                waiting, read = data[read : read + _PIECE_BYTES], read + _PIECE_BYTES
            piece = unpacker.decompress(waiting, len(body) - done)
            body[done : done + len(piece)] = piece
            done, waiting = done + len(piece), unpacker.unconsumed_tail
        unpacker.decompress(bytes(waiting) + bytes(data[read:]), 8)  # padding; then the checksum is compared
    except (zlib.error, ValueError, MemoryError) as error:
        raise _Damaged(f"its packed data cannot be unpacked: {error}") from None
    if not body or done < len(body) or not unpacker.eof:
        raise _Damaged("its packed data is cut short")
    return int(tag[0]), memoryview(body)


def _matrix(data: memoryview, order: str, depth: int, budget: _Budget) -> Value:
    if not data:
        return np.empty((0, 0))
    elements = _Elements(data, order)
    flags = elements.numbers(_UINT32)
    shape = elements.numbers(_INT32)
    elements.next(_INT8)
    if not flags or len(shape) < 2 or min(shape) < 0:
        raise _Damaged(f"a matrix has the shape {shape}")
    matrix_class = flags[0] & 0xFF
    if matrix_class == _STRUCT_CLASS and math.prod(shape) == 1:
        return _struct(elements, order, depth, budget)
    if matrix_class not in _NUMBER_CLASSES or flags[0] & _COMPLEX_FLAG:
        return None
    values = _numbers(*elements.next(), order)
    if values.size != math.prod(shape):
        raise _Damaged(f"a matrix of the shape {shape} has {values.size:,} values")
    dtype = np.dtype(_NUMBER_CLASSES[matrix_class])
    if dtype.itemsize > values.itemsize:  # MATLAB stores numbers of 64 bits in 8 where they fit
        budget.take(values.size * dtype.itemsize)
    return values.reshape(shape, order="F").astype(dtype, copy=False)


def _struct(elements: _Elements, order: str, depth: int, budget: _Budget) -> dict[str, Value]:
    if depth > _DEEPEST_STRUCT:
        raise _Damaged(f"structs are nested more than {_DEEPEST_STRUCT} deep")
    (length, *_) = elements.numbers(_INT32) or [0]
    names = bytes(elements.next(_INT8)[1])
    if length < 1 or len(names) % length:
        raise _Damaged(f"the field names of a struct take {len(names):,} bytes, {length} each")
    if len(names) // length > _MOST_FIELDS:
        raise _Damaged(f"a struct has {len(names) // length:,} fields")
    fields = [names[start : start + length].split(b"\0")[0].decode("latin-1") for start in range(0, len(names), length)]
    return {field: _matrix(elements.next(_MATRIX)[1], order, depth + 1, budget) for field in fields}


def _numbers(kind: int, data: memoryview, order: str) -> NDArray[Any]:
    if kind not in _NUMBERS:
        raise _Damaged(f"there are no numbers of type {kind}")
    dtype = np.dtype(order + _NUMBERS[kind])
    if len(data) % dtype.itemsize:
        raise _Damaged(f"{len(data):,} bytes are not whole numbers of {dtype.itemsize} bytes")
    return np.frombuffer(data, dtype)
