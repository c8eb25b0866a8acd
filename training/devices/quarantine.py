"""Quarantine: devices that are not leased until they are cleared, one file each in the lease folder.

The caller must hold the folder's mutex.
"""

import contextlib
import errno
import json
import os
import re
import stat
import time
from pathlib import Path

from training.files import lock_files, processes
from training.files.processes import printable

_MOST_BYTES = 1 << 14


def file_of(folder: Path, uuid: str, suffix: str) -> Path:
    """The file of a device in the lease folder."""
    return folder / (re.sub(r"[^A-Za-z0-9-]", "_", uuid) + suffix)


def quarantine(folder: Path, uuid: str, reason: str) -> None:
    """Puts a device into quarantine, with the reason. Raises OSError: it cannot be recorded."""
    path = file_of(folder, uuid, ".quarantine")
    try:
        descriptor = _open_for_writing(path)
    except FileNotFoundError:
        descriptor = lock_files.create(path, mode=0o666)  # any user who has repaired the device may clear it
    content = {"uuid": uuid, "reason": printable(reason), "since": time.time(), "user": processes.user_name()}
    with os.fdopen(descriptor, "wb") as file:
        lock_files.write(file.fileno(), json.dumps(content).encode())


def clear(folder: Path, uuid: str) -> None:
    path = file_of(folder, uuid, ".quarantine")
    try:
        path.unlink()
    except PermissionError:  # another user's file in a sticky folder cannot be removed, but it can be emptied
        with os.fdopen(_open_for_writing(path), "wb") as file:
            file.truncate(0)


def quarantined(folder: Path) -> dict[str, str]:
    """Reasons by UUID."""
    found = {}
    for path in folder.glob("*.quarantine"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if (descriptor := lock_files.open_at_once(path)) is not None:
                with os.fdopen(descriptor, "rb") as file:
                    content = json.loads(file.read(_MOST_BYTES))
                found[str(content["uuid"])] = printable(str(content["reason"]))
    return found


def _open_for_writing(path: Path) -> int:
    """Opens only a regular file with one name: a link could lead to a file that another user wants changed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a link, or not a file", str(path))
    return descriptor
