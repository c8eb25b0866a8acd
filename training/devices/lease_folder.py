"""The folder through which the processes of a machine share GPUs. Every claim in it is a kernel lock.

    mutex               locked briefly while a process reads or changes the folder
    <number>.waiting    a request in the queue, locked by the waiting process; numbers increase with time
    <number>.lease      a granted request, locked by the processes that use the devices
    <UUID>.device       locked exclusively by the holder of a whole device, jointly by those that share it
    <UUID>.quarantine   why a device is not leased

A lock ends when the last process that inherited it exits, for any reason; a file without a lock is ignored. All files
are readable by all users, which is enough to lock them, and writable by their owner; the folder is sticky. Any user may
put anything into it, so everything in it is checked before use.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from text_recognizer.errors import DeviceError
from text_recognizer.settings import user_folder
from training.devices.decision import Decision
from training.files import lock_files, processes

_MOST_REMOVALS = 100  # tolerated while a process creates the folder or waits for its mutex


def lock_folder() -> Path:
    """TEXT_RECOGNIZER_LOCKS: the folder of leases; by default one folder for the whole machine."""
    return user_folder("TEXT_RECOGNIZER_LOCKS", _usual_folder)


def _usual_folder() -> Path:
    """A folder that is the same for every user: depends on permissions for all, not for this user."""
    run_lock = Path("/run/lock")
    try:
        open_to_all = stat.S_IMODE(run_lock.stat().st_mode) & 0o1777 == 0o1777
    except OSError:
        open_to_all = False
    return run_lock / "text-recognizer" if open_to_all else Path("/tmp/text-recognizer-locks")  # noqa: S108 - sticky


class LeaseFolder:
    """The folder, created on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def decision(self, patience_s: float = 30.0, on_wait: Callable[[str], None] | None = None) -> Iterator["Decision"]:
        """Holds the mutex: no other process reads or changes the folder. Raises DeviceError: the folder is unusable.

        Args:
            patience_s: how long to wait for others, which need milliseconds unless one of them is suspended.
            on_wait: called if that takes longer than a second.
        """
        with self._explained(), contextlib.ExitStack() as stack:
            folder, mutex = self._lock(time.monotonic() + patience_s, on_wait)
            stack.callback(os.close, folder)
            stack.callback(os.close, mutex)
            # Unlocked, not only closed: a child forked meanwhile by another thread has a copy.
            stack.callback(lock_files.unlock, mutex)
            yield Decision(self.path, folder, mutex)

    def _lock(self, until: float, on_wait: Callable[[str], None] | None) -> tuple[int, int]:
        """Locked descriptors of the folder and of its mutex."""
        for _ in range(_MOST_REMOVALS):
            with contextlib.ExitStack() as undo, contextlib.suppress(FileNotFoundError):  # it was removed: try again
                folder = self._open_folder()
                undo.callback(os.close, folder)
                mutex = self._lock_mutex(until, on_wait)
                undo.callback(os.close, mutex)
                if lock_files.is_at(self.path, folder):
                    undo.pop_all()
                    return folder, mutex
        raise FileNotFoundError(errno.ENOENT, "it is removed as often as it is made", str(self.path))

    def _open_folder(self) -> int:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(parents=True)
            self.path.chmod(0o1777)
        if self.path.is_symlink():
            raise DeviceError(
                f"the folder of the GPU leases, '{self.path}', is a symbolic link, which its owner could redirect. "
                f"Remove it, or set TEXT_RECOGNIZER_LOCKS to the folder that it leads to."
            )
        descriptor = lock_files.patiently(lambda: os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        try:
            lock_files.patiently(lambda: self._check_permissions(os.fstat(descriptor)))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_permissions(self, about: os.stat_result) -> None:
        """A folder writable by all, or owned by another user, must be sticky, to protect files from other users."""
        is_open = about.st_mode & stat.S_IWOTH or about.st_uid not in (0, os.geteuid())
        if is_open and not about.st_mode & stat.S_ISVTX:
            raise PermissionError(errno.EPERM, "it is not sticky", str(self.path))

    def _lock_mutex(self, until: float, on_wait: Callable[[str], None] | None) -> int:
        """Raises FileNotFoundError: it was removed while waiting."""
        path = self.path / "mutex"
        while True:
            descriptor = lock_files.open_or_create(path)
            inode = os.fstat(descriptor).st_ino
            left_s = until - time.monotonic()
            turn_s = min(left_s, 1.0) if on_wait else left_s
            if lock_files.lock(descriptor) or lock_files.lock_within(descriptor, turn_s):
                if lock_files.is_at(path, descriptor):
                    return descriptor
                os.close(descriptor)
                raise FileNotFoundError
            owners = processes.described_owners(inode)
            if time.monotonic() >= until:
                raise DeviceError(
                    f"the folder of the GPU leases, '{self.path}', is locked by {owners}, which is probably suspended. "
                    f"Resume or end it."
                )
            if on_wait is not None:
                on_wait(f"waiting for the folder of the GPU leases, '{self.path}', which {owners} keeps")
                on_wait = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            elsewhere = "set TEXT_RECOGNIZER_LOCKS to a folder that all users of these GPUs may write"
            remedy = f"Repair that, or {elsewhere}."
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                remedy = f"Let its owner run 'chmod 1777 {self.path}', or {elsewhere}."
                with contextlib.suppress(OSError):
                    about = self.path.stat()
                    owner, mode = processes.user_name(about.st_uid), stat.S_IMODE(about.st_mode)
                    remedy = f"It belongs to {owner}, mode {mode:o}. {remedy}"
            raise DeviceError(
                f"the folder of the GPU leases, '{self.path}', cannot be used by {processes.user_name()}: "
                f"{error.strerror or error} ({error.filename or self.path}). {remedy}"
            ) from None
