"""Mutators: a valid input becomes one that nobody meant. What they draw comes from one generator."""

import contextlib
import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import yaml

Files = dict[str, bytes]
Random = random.Random

MOST_BYTES = 5_000_000
NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 13_000, 2**31 - 1, 2**31, 2**32 - 1)
VALUES: tuple[Any, ...] = (
    *(None, True, False, "", [], {}, [[]], {"": 0}, [None], 0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**63, 2**64, 10**400),
    *(1e308, 1e-300, -1e308, float("nan"), float("inf"), 1e18, "x", "a" * 70_000, "\0", "\ud800", "²", "٣", "\u202e"),
    *("..", "/dev/zero", "/", "../../x", "x/y", ".", "utf-8\0", "nan", "1e5", "subprocess:Popen", "os:abort", "a:b"),
    *("2000-01-01", "(a+)+$", "é\u0301" * 50, "CON", "last", "running", "finished", "9" * 12, "null", "file:///x"),
)
TOKENS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\n", b"\t", b'"', b"'", b"\x1b[2J", b"9" * 5000, b"-1"),
    *(b"1e309", b"NaN", b"Infinity", b"-Infinity", b"../../x", b"/dev/zero", b"null", b"{}", b"[]", b"[" * 5000),
    *(b"<![CDATA[", b'<!ENTITY a "b">', b"&a;", b"&#0;", b"<a>" * 5000, b"&b ", b"*b", b"<<: *b", b"? ", b"- - - -"),
    *(b"!!timestamp s", b"!!binary x", b"!!int x", b"!!float x", b"!!python/object/apply:os.abort []", b"{{a}}"),
    *(b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b", b"\\ud800", "²é\u0301".encode()),
    *(b"a" * 70_000, b"structure {" * 3000, b",", b";", b"|", b"#", b"%", b"=", b": ", b"\x85", b"\xe2\x80\xa8"),
)
NAMES = ("9" * 12 + ".waiting", "0" * 12 + ".lease", "x" * 200 + ".json", "a b", "é\u0301", "\n", ".new", "last", "-f")
_RAW = "\x01raw\x01"
_RAWS = (
    *("[" * 100_000, '{"a":' * 100_000, "9" * 5000, "-", "NaN", "1e400", '"\\ud800"', '"\\u0000"'),
    "[" * 900 + "]" * 900,
)


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
    return _byte_change(content, draw, donor)


# Bytes


def _place(content: bytes, draw: Random) -> int:
    """Somewhere; half of the time in what may be a header."""
    return draw.randrange(min(len(content), 256) if draw.random() < 0.5 else len(content)) if content else 0


_WEIGHTS = {"flip": 2, "number": 3, "cut": 1, "remove": 1, "repeat": 1, "token": 2, "splice": 1, "blank": 1}


def _byte_change(content: bytes, draw: Random, donor: bytes = b"") -> bytes:
    """One change of bytes, whatever they mean."""
    at = _place(content, draw)
    (what,) = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    before, after = content[:at], content[at:]
    match what:
        case "flip":
            return _flip(content, draw)
        case "number":
            return _number(content, draw)
        case "cut":
            return content[: draw.randrange(len(content) + 1)]
        case "remove":
            return before + after[draw.choice((1, 2, 4, 16, 64)) :]
        case "repeat":
            times = draw.choice((2, 2, 3, 10)) if draw.random() < 0.97 else 20_000
            return before + after[: draw.choice((1, 4, 16, 64))] * times + after
        case "token":
            token = draw.choice(TOKENS)
            return before + token + after[draw.choice((0, 0, len(token))) :]
        case "splice":
            return before + donor[_place(donor, draw) :]
    return _blank(content, draw)


def _flip(content: bytes, draw: Random) -> bytes:
    data = bytearray(content)
    for _time in range(draw.choice((1, 1, 2, 4, 16)) if data else 0):
        data[_place(content, draw)] ^= 1 << draw.randrange(8)
    return bytes(data)


def _number(content: bytes, draw: Random) -> bytes:
    at, kind = _place(content, draw), draw.choice("BBHIIQ")
    number = draw.choice((*NUMBERS, len(content), len(content) - at, draw.getrandbits(32)))
    packed = struct.pack(draw.choice("<>") + kind, number % (1 << 8 * struct.calcsize("=" + kind)))
    return content[:at] + packed + content[at + len(packed) :]


def _blank(content: bytes, draw: Random) -> bytes:
    at, size = _place(content, draw), draw.choice((1, 4, 16, 256))
    return content[:at] + draw.choice((b"\0", b"\xff", draw.randbytes(1))) * size + content[at + size :]


# Trees


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value, without recursion."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            yield one, key
            waiting.append(one[key])


def _change_tree(root: list[Any], draw: Random) -> None:
    places = list(_places(root))
    where, key = draw.choice(places)
    chance = draw.random()
    if chance < 0.5:
        where[key] = draw.choice(VALUES)
    elif chance < 0.6 and where is not root:
        del where[key]
    elif chance < 0.7:
        there, other = draw.choice(places)
        where[key] = json.loads(json.dumps(there[other]))
    elif chance < 0.75:
        where[key] = draw.choice(([where[key]], {"a": where[key]}, [where[key]] * 3, str(where[key])))
    elif chance < 0.85 and isinstance(where, dict):
        where[str(draw.choice((*VALUES, f"{key}.a", str(key)[:-1])))] = where.pop(key)
    elif chance < 0.92 and isinstance(where[key], (int, float)):
        where[key] = draw.choice((-where[key], where[key] + 0.5, where[key] * 1000, str(where[key]), 2**40))
    else:
        where[key] = _RAW


def _json(content: bytes, draw: Random) -> bytes:
    root = [json.loads(content)]
    for _ in range(draw.choice((1, 1, 1, 3))):
        _change_tree(root, draw)
    text = json.dumps(root[0], ensure_ascii=draw.random() < 0.9, indent=draw.choice((None, 1)))
    return text.replace(json.dumps(_RAW), draw.choice(_RAWS)).encode(errors="surrogatepass")


def _json_lines(content: bytes, draw: Random) -> bytes:
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    chance = draw.random()
    if chance < 0.7:
        lines[at] = _json(lines[at], draw).replace(b"\n", b"")
    elif chance < 0.8:
        del lines[at]
    else:
        lines.insert(at, draw.choice((lines[at], b"{}", b"[]", b"5", b"\0" * 40, b'{"event": "start"', b"[" * 5000)))
    return b"\n".join(lines)


def _yaml(content: bytes, draw: Random) -> bytes:
    if draw.random() < 0.03:
        levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, draw.choice((4, 6, 9))))
        return b"a0: &a0 [x, x]\n" + levels.encode() + b"\n" + content
    if draw.random() < 0.4:
        return _lines(content, draw)
    root = [json.loads(json.dumps(yaml.safe_load(content)))]
    _change_tree(root, draw)
    text = yaml.safe_dump(root[0], allow_unicode=True, sort_keys=False)
    return text.replace(json.dumps(_RAW), draw.choice(_RAWS)).encode(errors="surrogatepass")


def _xml(content: bytes, draw: Random) -> bytes:
    root = ET.fromstring(content)
    elements = list(root.iter())
    one = draw.choice(elements)
    text = str(draw.choice(VALUES)).replace("\0", "").replace("\ud800", "")
    chance = draw.random()
    if chance < 0.5 and one.attrib:
        value = draw.choice((text, "-1", "1e9", "9" * 5000, "0,0 1e30,5 nan,3", "structure {" * 20_000))
        one.set(draw.choice(sorted(one.attrib)), value)
    elif chance < 0.6 and one.attrib:
        del one.attrib[draw.choice(sorted(one.attrib))]
    elif chance < 0.7:
        one.text = text
    elif chance < 0.8 and len(one):
        one.remove(draw.choice(list(one)))
    elif chance < 0.9:
        one.append(draw.choice(elements[1:]) if one not in elements[1:] else ET.Element("x"))
    elif chance < 0.95:
        one.tag = draw.choice(elements).tag
    else:
        one.text = _RAW
    name = draw.choice(("TextLine", "String", "a", "Page", "line"))
    depth = draw.choice((10, 900, 20_000))
    nested = draw.choice((f"<{name}>" * depth + f"</{name}>" * depth, f"<{name}/>" * depth))
    return ET.tostring(root).replace(_RAW.encode(), nested.encode())


def _lines(content: bytes, draw: Random) -> bytes:
    """A change of whole lines, or of one field of a line."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    chance = draw.random()
    if chance < 0.15:
        del lines[at]
    elif chance < 0.3:
        lines.insert(draw.randrange(len(lines) + 1), lines[at])
    elif chance < 0.32:
        lines[at:at] = [lines[at]] * draw.choice((100, 5000))
    else:
        fields = re.split(rb"([\t ,|=:]+)", lines[at])
        value = str(draw.choice(VALUES)).encode(errors="surrogatepass")
        fields[draw.randrange(len(fields))] = draw.choice((value, value, b"", draw.choice(TOKENS), draw.choice(fields)))
        lines[at] = b"".join(fields)
    return b"\n".join(lines)


# What lies inside


@cache
def _many_images(header: bytes, count: int) -> bytes:
    return gzip.compress(header[:4] + struct.pack(">III", count, 28, 28) + bytes(784 * count), 1, mtime=0)


def _gzip(content: bytes, draw: Random) -> bytes:
    if draw.random() < 0.01:
        return _many_images(gzip.decompress(content)[:4], draw.choice((30_000, 400_000)))
    return gzip.compress(_byte_change(gzip.decompress(content), draw), 1, mtime=0)


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
        chunks[which] = kind, _byte_change(data, draw, draw.choice(chunks)[1])
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
        return content[:128] + _byte_change(content[128:], draw)
    packed = zlib.compress(_byte_change(zlib.decompress(content[136 : 136 + size]), draw))
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
    changed_table = draw.choice((_flip, _number, _number, _blank))(table, draw)
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
    dict.fromkeys((".json", ".lease", ".waiting", ".quarantine"), _json)
    | dict.fromkeys((".txt", ".tsv", ".csv", ".toml", ".http", ".given"), _lines)
    | dict.fromkeys((".zip", ".npz"), _zip)
    | {".jsonl": _json_lines, ".yaml": _yaml, ".xml": _xml, ".gz": _gzip, ".npy": _npy, ".png": _png}
    | {".tar": _tar, ".mat": _matlab, ".ttf": _font, ".hdf5": _hdf5}
)
