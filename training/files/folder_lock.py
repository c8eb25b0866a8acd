"""The lock of a run's or a sweep's folder: held as long as a process works in it; a file says which process.

The folder itself is locked too: the file may be deleted while it is held.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import RunError
from training.files.safe_files import cannot_write


@dataclass(frozen=True)
class FolderLock:
    """A lock that is held until it is released or this process dies. Made by `hold_folder`."""

    _path: Path
    _folder: int
    _file: int

    def check_folder(self) -> None:
        """Checks that the folder is still the one that is held.

        Raises:
            RunError: what is written into the folder by its name would not come into the one that is held.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(self._path.stat(), os.fstat(self._folder)):
                return
        raise RunError(
            f"the folder {self._path} was deleted, moved or replaced while this process worked in it. "
            f"Put it back to go on from the last checkpoint, or start again."
        )

    def release(self) -> None:
        os.close(self._file)
        os.close(self._folder)


def hold_folder(lock_file: Path, refusal: Callable[[str], str]) -> FolderLock:
    """Takes the lock of the folder that a lock file is in.

    Args:
        refusal: the message when another process holds it, made from what that process wrote into the file.
    Raises:
        RunError: another process holds it, or the file cannot be written.
    """
    folder = file = None
    try:
        folder = os.open(lock_file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        file = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _take(file)
        _take_folder(folder)
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        said = _said(file) if file is not None else ""
        for descriptor in (file, folder):
            if descriptor is not None:
                os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise RunError(refusal(said)) from None
        raise cannot_write(lock_file, error) from error
    return FolderLock(lock_file.parent, folder, file)


def _take(lock: int) -> None:
    """Takes the lock; a process that only checks it (see holder_of) has it for a moment, and is waited for.

    Raises:
        BlockingIOError: another process holds it.
    """
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # free beside those who look, not beside a holder
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(0.001)


def _take_folder(folder: int) -> None:
    """Takes the lock of a folder where the file system has such locks; the file's is enough to keep others out."""
    try:
        _take(folder)
    except BlockingIOError:
        raise
    except OSError:  # NFS has locks of files that are open for writing, which no folder is
        return


def holder_of(lock_file: Path) -> str | None:
    """The process that holds a folder, for people; None when none does. Raises RunError: this user may not look."""
    try:
        holder = _holder(lock_file)
    except OSError as error:
        raise RunError(f"cannot read {lock_file}: {error.strerror or error}.") from error
    if holder is None:
        with contextlib.suppress(OSError):  # a file system without such locks
            return _holder(lock_file.parent)
    return holder


def _holder(path: Path) -> str | None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(lock)
    finally:
        os.close(lock)
    return None


def _said(lock: int) -> str:
    said = b""
    with contextlib.suppress(OSError):  # the folder, or not a file of ours
        said = os.pread(lock, 200, 0)
    return said.decode(errors="replace").strip() or "another process"
