"""Changes of bytes, whatever they mean."""

import random
import struct

Random = random.Random

NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 13_000, 2**31 - 1, 2**31, 2**32 - 1)

TOKENS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\n", b"\t", b'"', b"'", b"\x1b[2J", b"9" * 5000, b"-1"),
    *(b"1e309", b"NaN", b"Infinity", b"-Infinity", b"../../x", b"/dev/zero", b"null", b"{}", b"[]", b"[" * 5000),
    *(b"<![CDATA[", b'<!ENTITY a "b">', b"&a;", b"&#0;", b"<a>" * 5000, b"&b ", b"*b", b"<<: *b", b"? ", b"- - - -"),
    *(b"!!timestamp s", b"!!binary x", b"!!int x", b"!!float x", b"!!python/object/apply:os.abort []", b"{{a}}"),
    *(b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b", b"\\ud800", "²é\u0301".encode()),
    *(b"a" * 70_000, b"structure {" * 3000, b",", b";", b"|", b"#", b"%", b"=", b": ", b"\x85", b"\xe2\x80\xa8"),
)


def _place(content: bytes, draw: Random) -> int:
    """Somewhere; half of the time in what may be a header."""
    return draw.randrange(min(len(content), 256) if draw.random() < 0.5 else len(content)) if content else 0


_WEIGHTS = {"flip": 2, "number": 3, "cut": 1, "remove": 1, "repeat": 1, "token": 2, "splice": 1, "blank": 1}


def byte_change(content: bytes, draw: Random, donor: bytes = b"") -> bytes:
    """One change of bytes, whatever they mean."""
    at = _place(content, draw)
    (what,) = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    before, after = content[:at], content[at:]
    match what:
        case "flip":
            return flip(content, draw)
        case "number":
            return number_changed(content, draw)
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
    return blank(content, draw)


def flip(content: bytes, draw: Random) -> bytes:
    data = bytearray(content)
    for _time in range(draw.choice((1, 1, 2, 4, 16)) if data else 0):
        data[_place(content, draw)] ^= 1 << draw.randrange(8)
    return bytes(data)


def number_changed(content: bytes, draw: Random) -> bytes:
    at, kind = _place(content, draw), draw.choice("BBHIIQ")
    number = draw.choice((*NUMBERS, len(content), len(content) - at, draw.getrandbits(32)))
    packed = struct.pack(draw.choice("<>") + kind, number % (1 << 8 * struct.calcsize("=" + kind)))
    return content[:at] + packed + content[at + len(packed) :]


def blank(content: bytes, draw: Random) -> bytes:
    at, size = _place(content, draw), draw.choice((1, 4, 16, 256))
    return content[:at] + draw.choice((b"\0", b"\xff", draw.randbytes(1))) * size + content[at + size :]
