"""Journals: append-only files with one JSON object per line, which survive the death of their writer.

An unreadable line, at any position, is skipped by readers.
"""

import errno
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError
from text_recognizer.wording import counted
from training.files.json_objects import parse_object, read_regular
from training.files.safe_files import cannot_write
from training.terminal.command_line import say

# Describes what is wrong with a row of a journal, or returns None. Called for the rows in order.
Check = Callable[[Mapping[str, Any]], str | None]
_warned: set[str] = set()


@dataclass(frozen=True)
class Journal:
    """A journal without a partial last line: its rows; number (from 1) and reason of each broken line."""

    rows: list[dict[str, Any]]
    broken: list[tuple[int, str]]

    @property
    def damage(self) -> str | None:
        """The damage in words."""
        if not self.broken:
            return None
        number, why = self.broken[0]
        return f"{counted(len(self.broken), 'line')} cannot be read, the first is line {number}: {why}"


def any_row(_: Mapping[str, Any]) -> None:
    """The check that accepts any row."""


def examine(path: Path, check: Check = any_row) -> Journal:
    """Reads a whole journal; a missing one is empty. Raises RunError: it cannot be read."""
    try:
        content = read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return Journal([], [])
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.") from None
    return parse_journal(content, check)


def parse_journal(content: bytes, check: Check = any_row) -> Journal:
    """Parses the complete lines of a journal; a partial last line is still being written."""
    rows, broken = [], []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        if not line.strip():
            continue
        try:
            row = parse_object(line, finite=False)
            why = check(row)
        except ValueError as error:
            why = str(error)
        if why is None:
            rows.append(row)
        else:
            broken.append((number, why))
    return Journal(rows, broken)


def read_journal(path: Path, check: Check = any_row) -> list[dict[str, Any]]:
    """The rows of a journal; broken lines give one warning per file. Raises RunError: it cannot be read."""
    journal = examine(path, check)
    if journal.broken and str(path) not in _warned:
        _warned.add(str(path))
        say(f"warning: {path}: {journal.damage}. The others count.")
    return journal.rows


def open_journal(path: Path) -> int:
    """A descriptor for one process to append lines; a partial line of a dead writer is truncated.

    Raises:
        RunError: it cannot be read or written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        content = read_regular(path)
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.ftruncate(descriptor, whole)
    except OSError as error:
        raise cannot_write(path, error) from error
    return descriptor


def append_line(descriptor: int, path: Path, row: Mapping[str, Any]) -> None:
    """Appends a JSON object as one line in one write. Raises RunError: disk full; earlier lines stay readable."""
    line = json.dumps(row).encode() + b"\n"
    try:
        written = os.write(descriptor, line)
    except OSError as error:
        raise cannot_write(path, error) from error
    if written != len(line):
        raise cannot_write(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def sync_lines(descriptor: int, path: Path) -> None:
    """Flushes the lines of a journal to disk. Raises RunError: the disk is full or broken."""
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from error
