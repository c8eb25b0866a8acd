"""GNT files: single characters one after another, as CASIA publishes its offline databases.

A record is

    u32 size        of the record in bytes: 10 + width * height
    2 bytes code    of the character in GB 18030, in file order; of a one-byte symbol the second is 0
    u16 width, u16 height
    width * height bytes, row by row; 255 is paper

All numbers are little-endian. A file has no header and no index. Source: Liu, Yin, Wang and Wang (2011), "CASIA Online
and Offline Chinese Handwriting Databases", table 2.
"""

import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError, system_errors
from text_recognizer.whole_files import replace_file
from text_recognizer.wording import counted

HEADER_BYTES = 10
LONGEST_SIDE_PX = 4096  # no scanned character is larger; a longer side is a damaged number
PAPER = 255

_HEADER = struct.Struct("<I2sHH")
_SIZE = struct.Struct("<I")
_FIELDS = np.dtype([("size", "<u4"), ("code", ">u2"), ("width", "<u2"), ("height", "<u2")])
_WHOLE = np.dtype((np.void, HEADER_BYTES))  # a header as one value: numpy would copy the fields one by one
_SCAN_BYTES = 1 << 20
_MOST_FOLLOWED, _FEWEST_FOLLOWED = 4096, 16  # records followed before their headers are checked; fewer after damage

Bytes = NDArray[np.uint8]

SHORT = "the file ends within a record"
HEADER = "a record's size is not that of its image"
CODE = "a record's code is no character of GB 18030"


class Damage(NamedTuple):
    """Bytes of a file that are not a readable record.

    Args:
        offset: offset of their first byte in the file.
        length: length in bytes.
        fault: SHORT, HEADER or CODE.
    """

    offset: int
    length: int
    fault: str

    def __str__(self) -> str:
        return f"{self.fault}: byte {self.offset:,}, {counted(self.length, 'byte')} skipped"


@dataclass(frozen=True)
class Records:
    """The records of one GNT file, without their images.

    Args:
        offsets: (N,) offset of each record's first byte.
        codes: (N,) codes of the characters, as big-endian numbers of two bytes.
        widths, heights: (N,) sizes of the images in pixels.
        damages: unreadable parts, in the order of the file.
    """

    offsets: NDArray[np.int64]
    codes: NDArray[np.uint16]
    widths: NDArray[np.uint16]
    heights: NDArray[np.uint16]
    damages: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def texts(self) -> list[str]:
        """(N,) the character of each record."""
        return list(_characters()[self.codes].tolist())

    def rows(self, begin: int, end: int) -> "Records":
        """Some of the records, with the damages of all."""
        part = slice(begin, end)
        columns = self.offsets[part], self.codes[part], self.widths[part], self.heights[part]
        return Records(*columns, self.damages)

    def picture(self, content: Bytes, row: int) -> Bytes:
        """(H, W) uint8 of one record: a view into the file's content."""
        begin = int(self.offsets[row]) + HEADER_BYTES
        height, width = int(self.heights[row]), int(self.widths[row])
        return content[begin : begin + height * width].reshape(height, width)


def map_file(path: Path) -> Bytes:
    """The bytes of a file, memory-mapped. Raises DataError: the file cannot be read."""
    with system_errors(f"read {path}"), open(path, "rb") as file:
        if path.stat().st_size == 0:
            return np.empty(0, np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def records_of_file(path: Path) -> Records:
    """Finds the records of a file. Raises DataError: the file cannot be read."""
    return find_records(map_file(path))


def find_records(content: Bytes) -> Records:
    """Finds the records of a file by their headers; images are not touched.

    After damage, reading continues at the next two consecutive headers (or one that ends the file).

    Args:
        content: (n,) all bytes of the file.
    """
    end, at = len(content), 0
    begins, headers = [np.empty(0, np.int64)], [np.empty(0, _WHOLE)]
    damages: list[Damage] = []
    resumable: NDArray[np.int64] | None = None
    most = _MOST_FOLLOWED
    while at < end:
        found, read = _followed(content, at, most)
        begins.append(found)
        headers.append(read)
        at = int(found[-1]) + int(read.view(_FIELDS)["size"][-1]) if len(found) else at
        size = 0 if at == end else _sound_size(content, at)
        if at == end or (size and at + size <= end):
            most = min(2 * most, _MOST_FOLLOWED)
            continue
        if resumable is None:  # once per file, so that damage everywhere takes no longer than damage in one place
            resumable = _resumable(content)
        following = resumable[np.searchsorted(resumable, at + 1) :]
        next_at = int(following[0]) if len(following) else end
        # The last bytes may be the first ones of a valid record.
        is_cut = next_at == end and (size > 0 or end - at < HEADER_BYTES)
        damages.append(Damage(at, next_at - at, SHORT if is_cut else HEADER))
        at, most = next_at, _FEWEST_FOLLOWED
    offsets, fields = np.concatenate(begins), np.concatenate(headers).view(_FIELDS)
    codes = fields["code"].astype(np.uint16)
    readable = _is_character()[codes]
    if not readable.all():
        undecoded = zip(offsets[~readable].tolist(), fields["size"][~readable].tolist(), strict=True)
        damages += [Damage(*place, CODE) for place in undecoded]
        offsets, codes, fields = offsets[readable], codes[readable], fields[readable]
    widths, heights = fields["width"].astype(np.uint16), fields["height"].astype(np.uint16)
    return Records(offsets, codes, widths, heights, tuple(sorted(damages)))


def write_gnt(path: Path, samples: Iterable[tuple[str, NDArray[Any]]]) -> int:
    """Writes characters as one GNT file, atomically.

    Args:
        samples: (character, image (H, W) uint8) of each, dark on white.
    Returns:
        the number of samples written.
    Raises:
        DataError: a character has no code of one or two bytes in GB 18030, an image is no grey image of at most
            4,096 pixels a side, or the file cannot be written.
    """
    count = 0

    def write(file: BinaryIO) -> None:
        nonlocal count
        for text, picture in samples:
            file.write(_record(text, picture, f"sample {count}"))
            count += 1

    with system_errors(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, write)
    return count


def _record(text: str, picture: NDArray[Any], name: str) -> bytes:
    code = text.encode("gb18030", "replace")
    if len(text) != 1 or len(code) > 2 or code == b"\0" or code.decode("gb18030") != text:
        raise DataError(
            f"{name}: a GNT file holds characters with a code of one or two bytes in GB 18030, not '{text}'."
        )
    if (
        picture.dtype != np.uint8
        or picture.ndim != 2
        or not 1 <= min(picture.shape) <= max(picture.shape) <= LONGEST_SIDE_PX
    ):
        raise DataError(
            f"{name}, '{text}': an image must be uint8 (height, width), 1 to {LONGEST_SIDE_PX:,} pixels a side. "
            f"Received: {picture.dtype} of shape {picture.shape}."
        )
    height, width = picture.shape
    return _HEADER.pack(HEADER_BYTES + width * height, code.ljust(2, b"\0"), width, height) + picture.tobytes()


def _followed(content: Bytes, at: int, most: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """(n,) offsets and headers of up to `most` consecutive records from here on, up to the first damage.

    First follows the sizes, as only they say where the next record is; then checks all headers at once.
    """
    view, end = content.data, len(content)
    last, size_at = end - HEADER_BYTES, _SIZE.unpack_from
    offsets: list[int] = []
    for _ in range(most):
        if at > last:
            break
        offsets.append(at)
        at += size_at(view, at)[0]
    begins = np.fromiter(offsets, np.int64, len(offsets))
    headers = np.ndarray((max(last + 1, 0),), _WHOLE, view, strides=(1,))[begins]  # a header could begin at every byte
    fields = headers.view(_FIELDS)
    size = fields["size"].astype(np.int64)
    sound = (size == HEADER_BYTES + fields["width"].astype(np.int64) * fields["height"]) & (size > HEADER_BYTES)
    sound &= begins + size <= end
    count = len(sound) if sound.all() else int(sound.argmin())
    return begins[:count], headers[:count]


def _sound_size(content: Bytes, at: int) -> int:
    """Size of the record that begins here in bytes; 0 if there is no valid header."""
    if at + HEADER_BYTES > len(content):
        return 0
    size, _, width, height = _HEADER.unpack_from(content.data, at)
    return int(size) if size == HEADER_BYTES + width * height > HEADER_BYTES else 0


def _resumable(content: Bytes) -> NDArray[np.int64]:
    """Where reading can resume after damage: at headers that lead to another one, or to the end of the file."""
    found = []
    for start in range(0, len(content) - HEADER_BYTES, _SCAN_BYTES):
        piece = content[start : start + _SCAN_BYTES + HEADER_BYTES].astype(np.int64)
        count = min(_SCAN_BYTES, len(piece) - HEADER_BYTES)
        twos = piece[:-1] | piece[1:] << 8  # two bytes as a number, at every position
        size = twos[:count] | twos[2 : 2 + count] << 16
        width, height = twos[6 : 6 + count], twos[8 : 8 + count]
        sound = (size == HEADER_BYTES + width * height) & (width > 0) & (height > 0)
        sound &= np.maximum(width, height) <= LONGEST_SIDE_PX
        places = np.flatnonzero(sound)
        found.append(np.stack([start + places, start + places + HEADER_BYTES + (width * height)[places]]))
    begins, ends = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)
    leads: NDArray[np.bool_] = np.isin(ends, begins) | (ends == len(content))
    return np.asarray(begins[leads])


@lru_cache(maxsize=1)
def _characters() -> NDArray[np.str_]:
    """(65536,) the character of every code; empty if there is none."""
    characters = np.zeros(1 << 16, "<U1")
    ascii_codes = np.arange(1, 128) << 8
    characters[ascii_codes] = [chr(code >> 8) for code in ascii_codes]
    second = np.setdiff1d(np.arange(0x40, 0xFF), [0x7F])
    codes = (np.arange(0x81, 0xFF)[:, None] << 8 | second).ravel()  # GB 18030 gives each of these a character
    characters[codes] = list(codes.astype(">u2").tobytes().decode("gb18030"))
    return characters


@lru_cache(maxsize=1)
def _is_character() -> NDArray[np.bool_]:
    """(65536,) whether a code has a character."""
    return np.asarray(_characters() != "")
