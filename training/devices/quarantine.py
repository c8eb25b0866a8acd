"""Quarantine: devices that are not given out until somebody clears them, one file each in the lease folder."""

import contextlib
import errno
import json
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from training.files import lock_files, processes
from training.files.processes import printable

_MOST_BYTES = 1 << 14


def quarantine(path: Path, uuid: str, reason: str) -> None:
    """Writes the file of a device. Raises OSError."""
    try:
        descriptor = _open_for_writing(path)
    except FileNotFoundError:
        descriptor = lock_files.create(path, mode=0o666)  # whoever repaired the device may clear it
    try:
        content = {
            "uuid": uuid,
            "reason": printable(reason),
            "since": time.time(),
            "user": processes.user_name(),
        }
        lock_files.write(descriptor, json.dumps(content).encode())
    finally:
        os.close(descriptor)


def clear(path: Path) -> None:
    try:
        path.unlink()
    except PermissionError:  # another user's file in a sticky folder cannot be removed, but it can be emptied
        descriptor = _open_for_writing(path)
        try:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def quarantined(paths: Iterable[Path]) -> dict[str, str]:
    """Reasons by UUID."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            content = json.loads(_beginning(path))
            found[str(content["uuid"])] = printable(str(content["reason"]))
    return found


def _beginning(path: Path) -> bytes:
    descriptor = lock_files.open_at_once(path)
    if descriptor is None:
        return b""
    try:
        return os.pread(descriptor, _MOST_BYTES, 0)
    finally:
        os.close(descriptor)


def _open_for_writing(path: Path) -> int:
    """Only what this folder's files are like: a link would lead to a file that somebody else wants changed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file of its own, somebody else put it there", str(path))
    return descriptor
