r"""ALZ archives: the Korean format in which CASIA packed the training part of HWDB1.1, inside a zip file.

    "ALZ\1"  4 bytes that say nothing
    "BLZ\1"  one file: u16 length of its name, u8 attributes, u32 time, u8 flags, u8 unused; where a file has content
              (the upper half of flags is not 0, and says how many bytes a size has): u8 method, u8 unused, u32 CRC-32,
              packed size, size; then the name, then the packed content
    "CLZ\1"  the end of the files

Numbers are little-endian. Method 0 is stored, 2 is deflate. Source: the format as Debian's `unalz` reads it.
"""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from text_recognizer.errors import DataError

STORED, DEFLATED = 0, 2
_FILE, _END = b"BLZ\1", (b"CLZ\1", b"CLZ\2", b"ELZ\1")
_ENCRYPTED = 1
_PIECE_BYTES = 1 << 20
_LONGEST_NAME_BYTES = 1024


def unpack_alz(file: IO[bytes], name: str, folder: Path, most_bytes: int) -> list[Path]:
    """Writes the files of an archive into one folder, by the last part of their names.

    Args:
        most_bytes: that they may unpack to together.
    Raises:
        DataError: the archive is damaged, encrypted, packed by another method, or unpacks to too much.
        OSError: the folder cannot be written.
    """
    if _read(file, 8, name)[:4] != b"ALZ\1":
        raise DataError(f"{name} is no ALZ archive: it does not begin with 'ALZ'.")
    paths: list[Path] = []
    while (signature := file.read(4)) == _FILE:
        length, _, _, flags, _ = struct.unpack("<HBIBB", _read(file, 9, name))
        size_bytes = flags >> 4
        method = crc = packed_size = size = 0
        if size_bytes:
            if size_bytes not in (1, 2, 4, 8):
                raise DataError(f"{name} is damaged: a size of {size_bytes} bytes.")
            method, _, crc = struct.unpack("<BBI", _read(file, 6, name))
            packed_size, size = (int.from_bytes(_read(file, size_bytes, name), "little") for _ in range(2))
        path = folder / _safe_name(_read(file, min(length, _LONGEST_NAME_BYTES), name), name)
        most_bytes -= size
        if flags & _ENCRYPTED or method not in (STORED, DEFLATED):
            how = "encrypted" if flags & _ENCRYPTED else f"packed by method {method}"
            raise DataError(f"{name}: '{path.name}' is {how}. Debian's `unalz` may read it: unpack it by hand.")
        if most_bytes < 0:
            raise DataError(f"{name} unpacks to more than it should. Unpack it by hand if that is right.")
        if size_bytes and path not in paths:
            with open(path, "wb") as out:
                if _unpack(file, method, packed_size, size, out.write, f"{name}: '{path.name}'") != crc:
                    raise DataError(f"{name}: '{path.name}' is damaged: its checksum is wrong.")
            paths.append(path)
    if signature not in _END:
        raise DataError(f"{name} is damaged or cut short after {len(paths)} files.")
    return paths


def _unpack(
    file: IO[bytes], method: int, packed_size: int, size: int, write: Callable[[bytes], object], name: str
) -> int:
    """Copies one file's content; returns its CRC-32."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    crc = written = 0
    while packed_size:
        piece = _read(file, min(packed_size, _PIECE_BYTES), name)
        packed_size -= len(piece)
        while piece:
            try:
                content = piece if method == STORED else inflate.decompress(piece, _PIECE_BYTES)
            except zlib.error as error:
                raise DataError(f"{name} is damaged: {error}.") from None
            piece = b"" if method == STORED else inflate.unconsumed_tail
            written += len(content)
            if written > size:
                raise DataError(f"{name} is damaged: it unpacks to more than {size:,} bytes.")
            crc = zlib.crc32(content, crc)
            write(content)
    if written != size:
        raise DataError(f"{name} is damaged: it unpacks to {written:,} bytes of {size:,}.")
    return crc


def _read(file: IO[bytes], count: int, name: str) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise DataError(f"{name} is cut short.")
    return content


def _safe_name(encoded: bytes, archive: str) -> str:
    last = PurePosixPath(encoded.decode("cp949", "replace").replace("\\", "/")).name
    if last in ("", ".", "..") or "\0" in last or len(last.encode()) > 255:
        raise DataError(f"{archive}: a file in it has no name that a file can have.")
    return last
