"""HeldFolder: the folder of a run or a sweep, locked while a process works in it; a file records the process.

The folder itself is locked too, because the file may be deleted while it is held.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from text_recognizer.errors import RunError
from training.files import lock_files
from training.files.safe_files import cannot_write, replace_file


class HeldFolder:
    """A folder that anyone may read, but that only one process at a time may hold and change.

    Subclasses define the name of the lock file.
    """

    LOCK: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal: int | None = None
        self._lock: tuple[int, int] | None = None  # the file and the folder, open and locked

    def _hold(self, refusal: Callable[[str], str]) -> None:
        """Takes the lock until it is released or this process exits. Raises RunError: it is held, or not writable.

        Args:
            refusal: makes the message if another process holds it, from that process's entry in the file.
        """
        folder = file = None
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            file = os.open(self.folder / self.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
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
            raise cannot_write(self.folder / self.LOCK, error) from error
        self._lock = file, folder

    def release(self) -> None:
        """Releases the lock and closes the journal."""
        for descriptor in (self._journal, *(self._lock or ())):
            if descriptor is not None:
                os.close(descriptor)
        self._journal = self._lock = None

    def holder(self) -> str | None:
        """The process that holds the folder, in words, or None. Raises RunError: not readable by this user."""
        try:
            holder = _holder(self.folder / self.LOCK)
        except OSError as error:
            raise RunError(f"cannot read {self.folder / self.LOCK}: {error.strerror or error}.") from error
        if holder is None:
            with contextlib.suppress(OSError):  # a file system without such locks
                return _holder(self.folder)
        return holder

    def check_folder(self) -> None:
        """Checks that the path still leads to the held folder. Raises RunError: it does not."""
        if self._lock is None:
            return
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(self.folder.stat(), os.fstat(self._lock[1])):
                return
        raise RunError(
            f"the folder {self.folder} was deleted, moved or replaced while this process worked in it. "
            f"Put it back to continue from the last checkpoint, or start again."
        )

    def write_text(self, name: str, text: str, durable: bool = False) -> None:
        """Replaces a file of the folder atomically. Raises RunError: it cannot be written.

        Args:
            durable: flush it to disk. Not needed for files that can be made again.
        """
        replace_file(self.folder / name, text, durable)


def _take(lock: int) -> None:
    """Takes the lock, waiting for processes that only check it (see holder). Raises BlockingIOError: it is held."""
    while not lock_files.lock(lock):
        if not lock_files.lock(lock, shared=True):  # succeeds beside checking processes, not beside a holder
            raise BlockingIOError
        lock_files.unlock(lock)
        time.sleep(0.001)


def _take_folder(folder: int) -> None:
    """Locks the folder, if the file system supports it; the file's lock is sufficient."""
    try:
        _take(folder)
    except BlockingIOError:
        raise
    except OSError:  # NFS only locks files that are open for writing, which folders cannot be
        return


def _holder(path: Path) -> str | None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if lock_files.lock(lock, shared=True) else _said(lock)
    finally:
        os.close(lock)


def _said(lock: int) -> str:
    said = b""
    with contextlib.suppress(OSError):  # the folder, or not a file of ours
        said = os.pread(lock, 200, 0)
    return said.decode(errors="replace").strip() or "another process"
