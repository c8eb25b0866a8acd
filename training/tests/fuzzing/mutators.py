"""Mutators: a valid input becomes one that nobody meant. What they draw comes from one generator."""

import contextlib
import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import PurePosixPath

from training.tests.fuzzing.byte_changes import Random, blank, byte_change, flip, number_changed
from training.tests.fuzzing.text_changes import (
    VALUES,
    changed_json,
    changed_json_lines,
    changed_lines,
    changed_xml,
    changed_yaml,
)

Files = dict[str, bytes]

MOST_BYTES = 5_000_000
NAMES = ("9" * 12 + ".waiting", "0" * 12 + ".lease", "x" * 200 + ".json", "a b", "é\u0301", "\n", ".new", "last", "-f")


def mutated(seeds: Sequence[Files], draw: Random, kept: str = "") -> Files:
    """One of the inputs with one or several changes.

    Args:
        kept: files whose names begin so stay as they are.
    """
    files = dict(draw.choice(seeds))
    names = [name for name in files if not kept or not name.startswith(kept)]
    for _ in range(draw.choice((1, 1, 1, 1, 2, 5))):
        name = draw.choice(names)
        chance = draw.random()
        if chance < 0.01:
            files[name] = b""
        elif chance < 0.02 and len(names) > 1:
            files[name] = files[draw.choice(names)]
        else:
            donor = draw.choice(seeds).get(name, b"")
            files[name] = changed(name, files[name], draw, donor)[:MOST_BYTES]
    if len(names) > 1 and draw.random() < 0.05:
        name = draw.choice(names)
        content = files.pop(name)
        if draw.random() < 0.5:
            files[str(PurePosixPath(name).with_name(draw.choice(NAMES)))] = content
    return files


def changed(name: str, content: bytes, draw: Random, donor: bytes = b"") -> bytes:
    """A file with one change: in its structure where its name's ending tells one, or in its bytes."""
    structured = STRUCTURED.get(PurePosixPath(name).suffix.lower())
    if structured is not None and draw.random() < 0.65:
        with contextlib.suppress(Exception):  # an earlier change broke the structure, in whatever way
            return structured(content, draw)
    return byte_change(content, draw, donor)


# What lies inside


@cache
def _many_images(header: bytes, count: int) -> bytes:
    return gzip.compress(header[:4] + struct.pack(">III", count, 28, 28) + bytes(784 * count), 1, mtime=0)


def _gzip(content: bytes, draw: Random) -> bytes:
    if draw.random() < 0.01:
        return _many_images(gzip.decompress(content)[:4], draw.choice((30_000, 400_000)))
    return gzip.compress(byte_change(gzip.decompress(content), draw), 1, mtime=0)


def _zip(content: bytes, draw: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = draw.randrange(len(members))
    name, inside = members[at]
    chance = draw.random()
    if chance < 0.75:
        members[at] = name, changed(name, inside, draw, draw.choice(members)[1])[:MOST_BYTES]
    elif chance < 0.85:
        members[at] = str(draw.choice((*VALUES, "/x", "../x", "a/../../x", "x\\..\\..\\y"))), inside
    elif chance < 0.92:
        del members[at]
    elif chance < 0.97:
        members.append((draw.choice(members)[0], inside))
    else:
        members[at] = name, bytes(draw.choice((20, 100)) << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, inside in members:
            archive.writestr(zipfile.ZipInfo(name), inside, archive.compression)
    return file.getvalue()


def _npy(content: bytes, draw: Random) -> bytes:
    """Another header, or values that no program wrote."""
    import numpy as np

    if draw.random() < 0.3:
        header = draw.choice((b"(99999999999,)", b"(-1,)", b"()", b"(0,)", b"(2, 3)", b"(70000, 70000)"))
        return re.sub(rb"\([0-9, ]*\)", header, content, count=1)
    array = np.load(io.BytesIO(content), allow_pickle=False)
    chance = draw.random()
    if chance < 0.4 and array.size:
        array = array.copy()
        number = draw.choice((0, 1, -1, 2**31 - 1, -(2**31), 255, 10**6, 10**12))
        with np.errstate(all="ignore"):
            array.reshape(-1)[draw.randrange(array.size)] = np.array(number).astype(array.dtype)
    elif chance < 0.6:
        array = array.astype(draw.choice(("f8", "i1", "?", "S3", "c8", "u8", "<U2", "M8[s]")))
    elif chance < 0.8:
        array = draw.choice((array[:0], array[:1], array[None], array.reshape(-1), np.tile(array, 3), array[::-1]))
    elif array.dtype.kind == "f":
        array = array * draw.choice((np.nan, np.inf, 0, -1e30))
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


@cache
def _paper() -> bytes:
    return zlib.compress(bytes(13_000 * 13_001), 1)


def _png(content: bytes, draw: Random) -> bytes:
    """A chunk with another content, and its checksum made right."""
    chunks, at = [], 8
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    which = draw.randrange(len(chunks))
    kind, data = chunks[which]
    chance = draw.random()
    if chance < 0.005:
        header = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 0, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", _paper()), (b"IEND", b"")]
    elif kind == b"IHDR" and chance < 0.3:
        sizes = [draw.choice((1, 28, 5000, 13_000, 30_000, 2**31 - 1)) for _ in range(2)]
        chunks[which] = kind, struct.pack(">II", *sizes) + data[8:]
    elif chance < 0.8:
        chunks[which] = kind, byte_change(data, draw, draw.choice(chunks)[1])
    elif chance < 0.9:
        chunks.insert(which, draw.choice(chunks))
    else:
        chunks[which] = draw.choice((b"iCCP", b"zTXt", b"tRNS", b"eXIf", b"acTL", b"fdAT", b"PLTE")), data
    packed = content[:8]
    for kind, data in chunks:
        packed += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return packed


def _tar(content: bytes, draw: Random) -> bytes:
    """A header with another field, and its checksum made right."""
    headers = [at for at in range(0, len(content), 512) if content[at + 257 : at + 262] == b"ustar"]
    at = draw.choice(headers)
    begin, size = draw.choice(((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (265, 32), (345, 155)))
    values = (
        *(b"5", b"2", b"L", b"S", b"x"),
        b"",
        b"\0",
        b"7" * size,
        b"../x",
        b"/x",
        b"a/b",
        b"\x80" + b"\xff" * 11,
        b"-1",
    )
    header = bytearray(content[at : at + 512])
    header[begin : begin + size] = draw.choice(values)[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return content[:at] + bytes(header) + content[at + 512 :]


def _matlab(content: bytes, draw: Random) -> bytes:
    """A change inside the packed element that follows the header."""
    kind, size = struct.unpack_from("<II", content, 128)
    if kind != 15:
        return content[:128] + byte_change(content[128:], draw)
    packed = zlib.compress(byte_change(zlib.decompress(content[136 : 136 + size]), draw))
    return content[:128] + struct.pack("<II", kind, len(packed)) + packed


def _font(content: bytes, draw: Random) -> bytes:
    """A change inside one table; where tables begin stays right when its size does."""
    if draw.random() < 0.01:
        groups = struct.pack(">III", 0, draw.choice((0xFFFF, 0x10FFFF)), 1) * 26_000
        cmap = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIII", 12, 0, 0, 0, 26_000) + groups
        head = b"\0\1\0\0" + struct.pack(">HHHH4sIII", 1, 0, 0, 0, b"cmap", 0, 28, len(cmap))
        return head + cmap
    (count,) = struct.unpack_from(">H", content, 4)
    _, _, offset, length = struct.unpack_from(">4sIII", content, 12 + 16 * draw.randrange(count))
    table = content[offset : offset + length]
    changed_table = draw.choice((flip, number_changed, number_changed, blank))(table, draw)
    return content[:offset] + changed_table[: len(table)] + content[offset + len(table) :]


def _hdf5(content: bytes, draw: Random) -> bytes:
    """A dataset replaced by one of another shape, type, storage or place, as the library itself writes it."""
    import h5py

    shapes = ((), (0,), (3,), (3, 60, 24), (1, 1), (2**40, 60, 24), (3, 2**20, 2**20), (10**7,), (3, 0, 0))
    links = (h5py.ExternalLink("/etc/hostname", "/x"), h5py.SoftLink("/"), h5py.SoftLink("/train"))
    variable = (h5py.string_dtype(), h5py.vlen_dtype("u1"), h5py.ref_dtype)
    kinds = ("u1", "u1", "f4", "S5", "S1000000", "i8", *variable)
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        group = draw.choice([opened, *(one for one in opened.values() if isinstance(one, h5py.Group))])
        name, shape, chance = draw.choice(list(group)), draw.choice(shapes), draw.random()
        del group[name]
        if chance < 0.1:
            group[name] = draw.choice(links)
        elif chance < 0.2:
            group.create_dataset(name, shape, "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
        elif chance < 0.3:
            layout = h5py.VirtualLayout((3, 60, 24), "u1")
            layout[:] = h5py.VirtualSource("/etc/hostname", "x", (3, 60, 24))
            group.create_virtual_dataset(name, layout)
        elif chance < 0.4:
            group.create_group(name)
        else:
            chunks = tuple(min(size, 1000) or 1 for size in shape) if shape and draw.random() < 0.7 else None
            packing = draw.choice((None, None, "gzip", "lzf", "szip")) if chunks else None
            group.create_dataset(name, shape, draw.choice(kinds), chunks=chunks, compression=packing)
    return file.getvalue()


STRUCTURED: Mapping[str, Callable[[bytes, Random], bytes]] = (
    dict.fromkeys((".json", ".lease", ".waiting", ".quarantine"), changed_json)
    | dict.fromkeys((".txt", ".tsv", ".csv", ".toml", ".http", ".given"), changed_lines)
    | dict.fromkeys((".zip", ".npz"), _zip)
    | {
        ".jsonl": changed_json_lines,
        ".yaml": changed_yaml,
        ".xml": changed_xml,
        ".gz": _gzip,
        ".npy": _npy,
        ".png": _png,
    }
    | {".tar": _tar, ".mat": _matlab, ".ttf": _font, ".hdf5": _hdf5}
)
