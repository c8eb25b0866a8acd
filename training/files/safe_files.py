"""Crash-safe files: replaced atomically.

Data written in one call survives the death of the process. Data that must survive a power cut is synced too: this takes
a disk up to tens of milliseconds, so only data that cannot be made again is synced.
"""

import errno
from pathlib import Path

from text_recognizer import whole_files
from text_recognizer.errors import NO_SPACE, RunError, reason, writing_advice
from training.files.json_objects import read_regular


def replace_file(path: Path, text: str, durable: bool = False) -> None:
    """Replaces a file atomically: readers see the old or the new one. Raises RunError: not written; the old one stays.

    Args:
        durable: flush it to disk; otherwise a power cut may leave the new file empty.
    """
    try:
        whole_files.replace_file(path, text, durable)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync(*paths: Path) -> None:
    """Syncs files or folders to disk; missing ones are skipped. Raises RunError: the disk is full or broken."""
    for path in paths:
        try:
            whole_files.sync(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise cannot_write(path, error) from error


def is_blank(path: Path) -> bool:
    """Whether a file has no content: it is missing, or a power cut emptied it."""
    try:
        return is_empty(read_regular(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return False  # it exists; reading it reports the problem


def is_empty(content: bytes) -> bool:
    """Whether this is the content of an unsynced file after a power cut: empty, or zeros."""
    return not content.strip(b"\0")


def cannot_write(path: Path, error: OSError, then: str = "do the same again") -> RunError:
    """The error message, with advice, for a file or folder that cannot be written."""
    advice = writing_advice(error, "TEXT_RECOGNIZER_RUNS")
    if error.errno in NO_SPACE:
        advice = f"Free some space and {then}."
    elif error.errno == errno.ENAMETOOLONG:
        advice = "Give a shorter name."
    return RunError(f"cannot write {path}: {reason(error, path)}. {advice}")
