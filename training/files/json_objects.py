"""Reads JSON objects from files that may have been edited or damaged, so that they can be shown, sorted and written."""

import errno
import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from text_recognizer.json_text import parse_json_text, values_in
from text_recognizer.wording import received

_MOST_BYTES = 2**30
_LONG_INTEGER = re.compile(rb"[0-9]{300}")  # may be too large for a float


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not contain a JSON object; says why.
    """
    return parse_object(read_regular(path))


def version_of(path: Path) -> tuple[int, int]:
    """Inode and size of a file: a repair replaces the file, appending makes it longer."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_size


def read_object_if_any(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if it cannot be read or has none."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}


def read_regular(path: Path, most: int = -1) -> bytes:
    """The content of a file, or its first `most` bytes.

    Raises:
        OSError: it cannot be read; it is a pipe or device, which may be endless.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        if found.st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        if most >= 0:
            return os.read(descriptor, most)  # a file object would double the time
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def parse_object(content: bytes, finite: bool = True) -> dict[str, Any]:
    """Parses a JSON object. A lone surrogate, which cannot be written to a file, becomes a question mark.

    Args:
        finite: NaN and infinity become null: JSON has no such numbers.
    Raises:
        ValueError: it is not one, is nested too deeply, or has an integer too large for a float.
    """
    kinds: dict[str, Any] = {"parse_constant": lambda _: None, "parse_float": _finite} if finite else {}
    try:
        value = parse_json_text(content.decode(), **kinds)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(value, dict):
        raise ValueError(f"it is not a JSON object. {received(value)}")
    if _LONG_INTEGER.search(content) and any(isinstance(one, int) and abs(one) > 1e308 for one in every_value(value)):
        raise ValueError("it holds a number that is too large")
    return _with_whole_characters(value) if b"\\u" in content else value


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number; booleans are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def every_value(value: Any) -> Iterator[Any]:
    """A value and all nested values."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        waiting += values_in(one)
        yield one


def _with_whole_characters(value: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        changed: dict[str, Any] = json.loads(text.encode(errors="replace"))
        return changed
    return value
