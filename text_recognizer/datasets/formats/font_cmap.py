"""The characters of a font file: reads the cmap table of TrueType and OpenType files, their collections, and WOFF.

fontTools reads them too, but on untrusted fonts it can take minutes and gigabytes.
Source: "OpenType specification", chapters "The OpenType font file" and "cmap"; "WOFF File Format 1.0".
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from text_recognizer.errors import DataError, reason, system_errors

_COLLECTION, _WOFF, _WOFF2 = b"ttcf", b"wOFF", b"wOF2"
_KINDS = (b"\x00\x01\x00\x00", b"OTTO", b"true")
_MOST_BYTES = 1 << 28  # collections of Chinese, Japanese and Korean fonts have half of that
_MOST_CODES = 4 * 0x110000  # in all ranges: several tables, each with at most all of Unicode
_UNICODE = {(0, kind) for kind in (0, 1, 2, 3, 4, 6)} | {(3, 1), (3, 10)}

_Range = tuple[int, Iterable[int]]  # its length, and its code points with glyphs


def characters_of_font(source: Path | bytes, name: str = "") -> frozenset[int]:
    """Code points with a glyph, from a font's file or content. Raises DataError: no file, damaged, or not a font."""
    name = name or (str(source) if isinstance(source, Path) else "the font")
    if isinstance(source, Path):
        with system_errors(f"read the font {name}"), open(source, "rb") as file:
            source = file.read(_MOST_BYTES + 1)
        if len(source) > _MOST_BYTES:
            raise DataError(f"cannot read the font {name}: it has more than {_MOST_BYTES:,} bytes.")
    try:
        return frozenset(_characters(source))
    except (struct.error, zlib.error, ValueError) as error:
        raise DataError(f"{name} is damaged or not a TrueType, OpenType or WOFF font: {reason(error)}.") from None


def _characters(content: bytes) -> set[int]:
    if content[:4] == _WOFF2:
        raise ValueError("WOFF2 is not read; convert it to WOFF or TrueType")
    start = struct.unpack_from(">I", content, 12)[0] if content[:4] == _COLLECTION else 0
    packed = content[:4] == _WOFF
    kind_at, count_at, at, entry = (4, 12, 44, ">4sIII4x") if packed else (start, start + 4, start + 12, ">4s4xII")
    if content[kind_at : kind_at + 4] not in _KINDS:
        raise ValueError(f"it begins with {content[:4].hex(' ') or 'nothing'}")
    (count,) = struct.unpack_from(">H", content, count_at)
    tables = [struct.unpack_from(entry, content, at + struct.calcsize(entry) * index) for index in range(count)]
    end = max((offset + length for _, offset, length, *_ in tables), default=0)
    if end > len(content):
        raise ValueError(f"it is cut short: {len(content):,} of at least {end:,} bytes")
    # FreeType would unpack all tables to render with it.
    if packed and (size := sum(unpacked for *_, unpacked in tables)) > _MOST_BYTES:
        raise ValueError(f"its tables unpack to {size:,} bytes, more than {_MOST_BYTES:,}")
    for tag, offset, length, *unpacked in tables:
        if tag == b"cmap":
            table = content[offset : offset + length]
            return _read_cmap(_unpacked(table, *unpacked) if unpacked else table)
    raise ValueError("it has no cmap table")


def _unpacked(table: bytes, size: int) -> bytes:
    if len(table) < size:
        table = zlib.decompressobj().decompress(table, size)
    if len(table) != size:
        raise ValueError(f"its cmap table has {len(table):,} bytes instead of {size:,}")
    return table


def _read_cmap(table: bytes) -> set[int]:
    (count,) = struct.unpack_from(">H", table, 2)
    records = (struct.unpack_from(">HHI", table, 4 + 8 * index) for index in range(count))
    found: set[int] = set()
    left = _MOST_CODES
    for offset in dict.fromkeys(offset for platform, encoding, offset in records if (platform, encoding) in _UNICODE):
        (kind,) = struct.unpack_from(">H", table, offset)
        read = {4: _read_segments, 12: _read_groups}.get(kind)
        for size, codes in read(table, offset) if read else ():
            left -= size
            if left < 0:
                raise ValueError("the ranges of its cmap table overlap")
            found.update(codes)
    return found


def _read_segments(table: bytes, offset: int) -> Iterator[_Range]:
    """Format 4: ranges of 16-bit code points."""
    (double,) = struct.unpack_from(">H", table, offset + 6)
    shape = f">{double // 2}H"
    at = offset + 14
    ends = struct.unpack_from(shape, table, at)
    starts = struct.unpack_from(shape, table, at + double + 2)
    deltas = struct.unpack_from(shape, table, at + 2 * double + 2)
    ranges_at = at + 3 * double + 2
    ranges = struct.unpack_from(shape, table, ranges_at)
    for index, (start, end, delta, shift) in enumerate(zip(starts, ends, deltas, ranges, strict=True)):
        if start == 0xFFFF or start > end:
            continue
        codes = range(start, end + 1)
        if shift == 0:
            missing = -delta & 0xFFFF  # the code whose glyph is 0
            yield len(codes), (*range(start, min(missing, end + 1)), *range(max(missing + 1, start), end + 1))
            continue
        glyphs = struct.unpack_from(f">{len(codes)}H", table, ranges_at + 2 * index + shift)
        yield len(codes), [code for code, glyph in zip(codes, glyphs, strict=True) if glyph]


def _read_groups(table: bytes, offset: int) -> Iterator[_Range]:
    """Format 12: ranges of any code points."""
    (count,) = struct.unpack_from(">I", table, offset + 12)
    for index in range(count):
        start, end, glyph = struct.unpack_from(">III", table, offset + 16 + 12 * index)
        if end > 0x10FFFF or start > end:
            raise ValueError(f"its cmap table has the range {start:X} to {end:X}")
        yield end + 1 - start, range(start + (glyph == 0), end + 1)
