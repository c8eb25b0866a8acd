"""Pickles of {text: number}, read without Python's pickle: nothing in a file can run, import or call anything.

Recognisers of the TensorFlow 1 years keep their classes in such files. Of the opcodes, those of dictionaries, texts and
whole numbers are known, of protocols 0 to 5; a file with any other is refused. Texts of Python 2 are bytes in UTF-8.
"""

import codecs
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError

MOST_BYTES = 64 << 20
# Opcodes with a length and a content: how the length is written, and what the content is.
_CONTENTS = {
    b"X": ("<I", "text"),
    b"\x8c": ("<B", "text"),
    b"\x8d": ("<Q", "text"),
    b"U": ("<B", "text"),
    b"T": ("<I", "text"),
    b"C": ("<B", "text"),
    b"B": ("<I", "text"),
    b"\x8a": ("<B", "number"),
}
_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H"}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_SKIPPED = {b"\x80": 1, b"\x95": 8}  # the protocol; the size of a frame


def read_pickled_ids(path: Path) -> dict[str, int]:
    """The numbers of texts.

    Raises:
        DataError: the file cannot be read, holds something else, or is larger than 64 MB.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}.") from None
    try:
        if len(content) > MOST_BYTES:
            raise ValueError("it is larger than 64 MB")
        return _Reader(content).read()
    except (ValueError, IndexError, struct.error, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path} is no pickled dictionary of texts and whole numbers: {reason}. Anything else is not read, since a "
            f"pickle can run code."
        ) from None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def read(self) -> dict[str, int]:
        while (opcode := self._take(1)) != b".":
            self._step(opcode)
        found = self._stack.pop()
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        return found

    def _step(self, opcode: bytes) -> None:
        if opcode in _CONTENTS:
            size, kind = _CONTENTS[opcode]
            content = self._take(self._number(size))
            self._stack.append(content.decode() if kind == "text" else int.from_bytes(content, "little", signed=True))
        elif opcode in _NUMBERS:
            self._stack.append(self._number(_NUMBERS[opcode]))
        elif opcode in _PUTS:
            self._memo[self._number(_PUTS[opcode])] = self._stack[-1]
        elif opcode in _GETS:
            self._get(self._number(_GETS[opcode]))
        elif opcode in _SKIPPED:
            self._take(_SKIPPED[opcode])
        elif opcode in _LINES:
            _LINES[opcode](self, self._line())
        elif opcode in _OTHERS:
            _OTHERS[opcode](self)
        else:
            raise ValueError(f"opcode {opcode!r} at byte {self._place - 1:,}")

    def _take(self, count: int) -> bytes:
        taken = self._content[self._place : self._place + count]
        if len(taken) != count:
            raise ValueError("it is cut short")
        self._place += count
        return taken

    def _number(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _line(self) -> bytes:
        line = self._content[self._place : self._content.index(b"\n", self._place)]
        self._place += len(line) + 1
        return line

    def _get(self, key: int) -> None:
        if key not in self._memo:
            raise ValueError(f"it refers to entry {key:,}, which it does not have")
        self._stack.append(self._memo[key])

    def _quoted(self, line: bytes) -> None:
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
            raise ValueError("a text without quotation marks")
        self._stack.append(codecs.escape_decode(line[1:-1])[0].decode())

    def _whole_number(self, line: bytes) -> None:
        if len(line) > 20:
            raise ValueError("a number of more than 20 digits")
        self._stack.append(int(line.removesuffix(b"L")))

    def _pop_to_mark(self) -> list[Any]:
        place = self._marks.pop()
        popped = self._stack[place:]
        del self._stack[place:]
        return popped

    def _set(self, entries: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(entries) % 2:
            raise ValueError("entries without a dictionary")
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            if not isinstance(key, str) or not isinstance(value, int):
                raise ValueError("an entry that is not a text with a whole number")
            target[key] = value

    def _set_one(self) -> None:
        entry = self._stack[-2:]
        del self._stack[-2:]
        self._set(entry)

    def _set_many(self) -> None:
        self._set(self._pop_to_mark())

    def _new_dict(self) -> None:
        entries = self._pop_to_mark()
        self._stack.append({})
        self._set(entries)


_LINES: dict[bytes, Callable[[_Reader, bytes], None]] = {
    b"V": lambda reader, line: reader._stack.append(line.decode("raw-unicode-escape")),
    b"S": _Reader._quoted,
    b"I": _Reader._whole_number,
    b"L": _Reader._whole_number,
    b"p": lambda reader, line: reader._memo.__setitem__(int(line), reader._stack[-1]),
    b"g": lambda reader, line: reader._get(int(line)),
}
_OTHERS: dict[bytes, Callable[[_Reader], None]] = {
    b"}": lambda reader: reader._stack.append({}),
    b"(": lambda reader: reader._marks.append(len(reader._stack)),
    b"d": _Reader._new_dict,
    b"s": _Reader._set_one,
    b"u": _Reader._set_many,
    b"\x94": lambda reader: reader._memo.__setitem__(len(reader._memo), reader._stack[-1]),
}
