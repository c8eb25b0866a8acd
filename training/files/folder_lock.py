"""The lock of a run's or a sweep's folder: held as long as a process works in it; the file says which process."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from text_recognizer.errors import RunError
from training.files.safe_files import cannot_write


def hold_folder(lock_file: Path, refusal: Callable[[str], str]) -> int:
    """A descriptor that holds the lock until it is closed or this process dies.

    Args:
        refusal: the message when another process holds it, from that process in words.
    Raises:
        RunError: another process holds it, or the file cannot be written.
    """
    lock = None
    try:
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _take(lock)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        said = _said(lock) if lock is not None else ""
        if lock is not None:
            os.close(lock)
        if isinstance(error, BlockingIOError):
            raise RunError(refusal(said)) from None
        raise cannot_write(lock_file, error) from error
    return lock


def _take(lock: int) -> None:
    """Takes the lock; whoever only looks whether it is held (see holder_of) has it for a moment, and is waited for.

    Raises:
        BlockingIOError: another process holds it.
    """
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # to be had beside those who look, not beside a holder
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(0.001)


def holder_of(lock_file: Path) -> str | None:
    """The process that holds a folder, in words; None when nobody does.

    Raises:
        RunError: this user may not look.
    """
    try:
        lock = os.open(lock_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {lock_file}: {error.strerror or error}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(lock)
    finally:
        os.close(lock)
    return None


def _said(lock: int) -> str:
    said = b""
    with contextlib.suppress(OSError):  # not a file of ours
        said = os.pread(lock, 200, 0)
    return said.decode(errors="replace").strip() or "another process"
