"""A tar archive that may be packed, read no further than a file of its size can reach."""

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats.packed import check_unpacked, most_unpacked_bytes
from text_recognizer.errors import DataError

MOST_TIMES = 100  # as large as the archive may all of its members be; XML comes to 30
_LONGEST_HEADER_BYTES = 1 << 20
_UNPACKERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


class PackedTar:
    """What tarfile reads: it takes a header for as long as it says, and passes over a member by unpacking it.

    Args:
        in_headers: whether no member is read yet, only their headers.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            unpacker: Any = _UNPACKERS.get(file.read(2), open)
        self._path = path
        self._file = unpacker(path, "rb")
        self._most_bytes = most_unpacked_bytes(path.stat().st_size, MOST_TIMES)
        self._header_bytes = 0
        self.in_headers = True

    def read(self, size: int) -> bytes:
        self._header_bytes += size
        if self.in_headers and self._header_bytes > _LONGEST_HEADER_BYTES:
            raise DataError(f"{self._path} is damaged: the header of a member has more than a million bytes.")
        content: bytes = self._file.read(size)
        self._check(self.tell())
        return content

    def seek(self, position: int) -> None:
        self._check(position)
        self._file.seek(position)

    def begin_member(self) -> None:
        """Whatever is read from here on belongs to the next header."""
        self._header_bytes = 0

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()

    def _check(self, position: int) -> None:
        if position > self._most_bytes:
            check_unpacked(str(self._path), position, self._path.stat().st_size, MOST_TIMES)
