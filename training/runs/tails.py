"""Reads growing files incrementally, from a cursor on."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from training.files.journals import parse_journal
from training.runs.checks import as_reported, report_fault

MOST_BYTES = 16 * 2**20
LOG_BYTES = 64 * 1024
_LAST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Cursor:
    """A position in a file, with its inode, because a repair replaces the file."""

    file: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.file}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Parses a cursor; invalid ones become the beginning."""
        file, _, offset = text.partition("-")
        is_right = file.isascii() and offset.isascii() and file.isdigit() and offset.isdigit() and len(text) < 50
        return cls(int(file), int(offset)) if is_right else cls()


@dataclass(frozen=True)
class Tail:
    """New content since a cursor; restarted: of another file, from its beginning, so earlier content is obsolete."""

    content: bytes
    cursor: Cursor
    restarted: bool


def read_tail(path: Path, cursor: Cursor, most: int = MOST_BYTES, whole_lines: bool = False) -> Tail:
    """The content of a file (empty if none) from a cursor on, at most the last bytes, in whole lines if requested."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return Tail(b"", Cursor(), cursor != Cursor())
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return Tail(b"", Cursor(), cursor != Cursor())
        restarted = (found.st_ino, cursor.offset) != (cursor.file, min(cursor.offset, found.st_size))
        offset = 0 if restarted else cursor.offset
        start = max(offset, found.st_size - most)
        content = os.pread(descriptor, found.st_size - start, start)
    except OSError:
        return Tail(b"", cursor, False)
    finally:
        os.close(descriptor)
    end = start + len(content)
    if whole_lines:
        if start > offset:
            content = content[content.find(b"\n") + 1 :] if b"\n" in content else b""
        torn = len(content) - (content.rfind(b"\n") + 1)
        content, end = content[: len(content) - torn], end - torn
    return Tail(content, Cursor(found.st_ino, end), restarted)


def reports(tail: Tail) -> list[Mapping[str, Any]]:
    """The reports in a tail of metrics.jsonl."""
    return list(map(as_reported, parse_journal(tail.content, report_fault).rows))


def last_reported(path: Path) -> dict[str, Any]:
    """The latest values in metrics.jsonl, of its last two reports: test metrics are a report of their own.

    Only the end of the file is read; empty if no report is there.
    """
    content = read_tail(path, Cursor(), _LAST_BYTES, whole_lines=True).content
    parts = reversed(content.rsplit(b"\n", 3))  # two lines; only if they are no reports, what is before them
    rows = (row for part in parts for row in reversed(parse_journal(part + b"\n", report_fault).rows) if "epoch" in row)
    return {name: value for row in reversed([*islice(rows, 2)]) for name, value in as_reported(row).items()}


def text_of(tail: Tail) -> str:
    return tail.content.decode(errors="replace")
