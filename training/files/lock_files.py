"""Lock files (flock), in a folder that is shared by several users, who may put anything into it."""

import contextlib
import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from text_recognizer.errors import DeviceError
from training.files import processes

T = TypeVar("T")

# The creator of a file may not have set its permissions yet.
_PATIENCE_S = (0.01, 0.05, 0.2)


def open_existing(path: Path) -> int:
    """Opens a file for locking and reading. Raises DeviceError: it is not a regular file.

    Without O_CREAT: in a sticky folder Linux refuses that for other users' files (fs.protected_regular), even to root.
    """
    descriptor = patiently(lambda: open_at_once(path))
    if descriptor is None:
        owner = processes.user_name(path.lstat().st_uid)
        raise DeviceError(f"'{path}' is not a file: another program put it there ({owner}). Remove it.")
    return descriptor


def open_at_once(path: Path) -> int | None:
    """The same without waiting for a process that is creating the file; None if it is not a file."""
    if not stat.S_ISREG(path.lstat().st_mode):  # opening a device may have side effects
        return None
    try:
        # Non-blocking, for pipes: it may have changed since the check.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


def create(path: Path, mode: int = 0o644) -> int:
    """Creates a file with this mode, regardless of the umask. Raises FileExistsError."""
    descriptor = patiently(
        lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    )
    os.fchmod(descriptor, mode)
    return descriptor


def open_or_create(path: Path) -> int:
    """Opens a file for locking, creating it if necessary."""
    while True:
        try:
            return open_existing(path)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                return create(path)


def lock(descriptor: int, shared: bool = False) -> bool:
    """Takes the lock if it is free; returns whether it was."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(descriptor: int, timeout_s: float) -> bool:
    """Takes the lock in the kernel's order; False after a time-out: the caller then has no descriptor."""
    # flock() waits without limit or not at all: another thread waits, and drops a lock that comes too late. Polling
    # is not fair: of 200 processes at once, one waited for 11 seconds, with a queue for 1.3.
    taken, given_up, fate = threading.Event(), threading.Event(), threading.Lock()

    def drop() -> None:
        unlock(descriptor)
        os.close(descriptor)

    def take() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with fate:
            taken.set()
            if given_up.is_set():
                drop()

    threading.Thread(target=take, daemon=True).start()
    is_in_time = False
    try:
        is_in_time = taken.wait(timeout_s)
    finally:
        if not is_in_time:
            with fate:
                given_up.set()
                if taken.is_set():
                    drop()
    return is_in_time


def unlock(descriptor: int) -> None:
    """Releases the lock for all copies of the descriptor, including those of forked children."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_locked(path: Path, at_all: bool = False) -> bool:
    """Whether a process holds the lock of a file, exclusively or (`at_all`) jointly; False for a missing file."""
    try:
        descriptor = open_at_once(path)
    except FileNotFoundError:
        return False
    if descriptor is None:
        return False
    try:
        return not lock(descriptor, shared=not at_all)
    finally:
        os.close(descriptor)


def remove_if_unlocked(path: Path) -> None:
    """Removes a file that no process holds, if permitted; another user's file is harmless."""
    with contextlib.suppress(OSError, DeviceError):
        descriptor = open_existing(path)
        try:
            if lock(descriptor) and is_at(path, descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at its path: it may have been deleted while waiting for it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def write(descriptor: int, content: bytes) -> None:
    """Replaces the content of a file."""
    os.pwrite(descriptor, content, 0)
    # Truncating to nothing first would make some file systems (ext4) write to the disk at once, which takes 1 ms.
    if os.fstat(descriptor).st_size > len(content):
        os.ftruncate(descriptor, len(content))


def patiently(open_file: Callable[[], T]) -> T:
    for pause_s in _PATIENCE_S:
        try:
            return open_file()
        except PermissionError:
            time.sleep(pause_s)
    return open_file()
