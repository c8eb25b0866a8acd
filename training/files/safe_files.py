"""Files that survive the death of their writer: they are replaced whole.

What is written in one call survives the death of the process. What must survive a power cut too is synced: a disk
takes up to tens of milliseconds for that, so only what could not be made again is.
"""

import errno
from pathlib import Path

from text_recognizer import whole_files
from text_recognizer.errors import NO_SPACE, RunError, reason
from training.files.json_objects import read_regular

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def replace_file(path: Path, text: str, durable: bool = False) -> None:
    """Replaces a file; readers see the old or the new one, whole. Raises RunError: not written; the old one stays.

    Args:
        durable: it is on the disk when this returns; otherwise a power cut may leave the new file empty.
    """
    try:
        whole_files.replace_file(path, text, durable)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync(*paths: Path) -> None:
    """Syncs files or folders to the disk; missing ones are skipped. Raises RunError: it is full or broken."""
    for path in paths:
        try:
            whole_files.sync(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise cannot_write(path, error) from error


def is_blank(path: Path) -> bool:
    """Whether a file holds nothing: it is not there, or a power cut emptied it."""
    try:
        return is_empty(read_regular(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return False  # something is there; whoever reads it says what is wrong with it


def is_empty(content: bytes) -> bool:
    """Whether this is what a power cut leaves of a file that was not synced: nothing, or zeros."""
    return not content.strip(b"\0")


def cannot_write(path: Path, error: OSError, then: str = "do the same again") -> RunError:
    """What to say and advise of a file or folder that the system does not let us write."""
    advice = "Set TEXT_RECOGNIZER_RUNS to a folder that can be written."
    if error.errno in NO_SPACE:
        advice = f"Free some space and {then}."
    elif error.errno in _REFUSED:
        advice = "Make it writable for this user, or set TEXT_RECOGNIZER_RUNS to a folder that is."
    elif error.errno == errno.ENAMETOOLONG:
        advice = "Give a shorter name."
    return RunError(f"cannot write {path}: {reason(error, path)}. {advice}")
