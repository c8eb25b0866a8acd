"""Font files, made by hand."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

from PIL import ImageFont


def default_font() -> bytes:
    face: Any = ImageFont.load_default(10)
    return bytes(face.path.getvalue())


def font_with(kind: int, body: bytes) -> bytes:
    """Nothing but a cmap table, of format 4 or 12."""
    cmap = struct.pack(">HHHHI", 0, 1, 3, 10 if kind == 12 else 1, 12) + body
    return b"\0\1\0\0" + struct.pack(">HHHH4sIII", 1, 0, 0, 0, b"cmap", 0, 28, len(cmap)) + cmap


def woff(font: bytes, pack: Callable[[bytes], bytes] = zlib.compress) -> bytes:
    """A TrueType font as WOFF: each of its tables packed where that makes it smaller."""
    (count,) = struct.unpack_from(">H", font, 4)
    entries, bodies, size = b"", b"", 12 + 16 * count
    for index in range(count):
        tag, checksum, offset, length = struct.unpack_from(">4sIII", font, 12 + 16 * index)
        table = font[offset : offset + length]
        packed = min(pack(table), table, key=len)
        entries += struct.pack(">4sIIII", tag, 44 + 20 * count + len(bodies), len(packed), length, checksum)
        bodies += packed + bytes(-len(packed) % 4)
        size += length + -length % 4
    total = 44 + len(entries) + len(bodies)
    return struct.pack(">4s4sIHHI", b"wOFF", font[:4], total, count, 0, size) + bytes(24) + entries + bodies
