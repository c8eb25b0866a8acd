"""The folder where the processes of a machine agree on who has which GPU. Every claim in it is a kernel lock.

    mutex               locked for the moments in which anybody looks or takes
    <number>.waiting    a request in the queue, locked by the process that waits; numbers rise with time
    <number>.lease      a request that was served, locked by the processes that use the devices
    <UUID>.device       locked alone by the holder of a whole device, jointly by those who share it
    <UUID>.quarantine   why a device is not given out

A lock goes when the last process that inherited it is gone, however it died; a file without a lock means nothing. All
files can be read by everybody, which is enough to lock them, and only written by their owner; the folder is sticky.
"""

import contextlib
import errno
import functools
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from text_recognizer.errors import DeviceError
from training.devices.allocation import Holding
from training.devices.lease_records import Entry, Record, read_entry
from training.files import lock_files, processes

_ENTRY = re.compile(r"([0-9]{12})\.(waiting|lease)")
_OWN_FILE = re.compile(r"mutex|[0-9]{12}\.(?:waiting|lease)|.+\.(?:device|quarantine)")


def lock_folder() -> Path:
    """TEXT_RECOGNIZER_LOCKS: where leases are kept; by default one folder for the whole machine.

    The choice must come out the same for every user, so it asks what all may do, not what this one may.
    """
    set_to = os.environ.get("TEXT_RECOGNIZER_LOCKS")
    if set_to:
        return Path(set_to).expanduser()
    run_lock = Path("/run/lock")
    try:
        open_to_all = stat.S_IMODE(run_lock.stat().st_mode) & 0o1777 == 0o1777
    except OSError:
        open_to_all = False
    return run_lock / "text-recognizer" if open_to_all else Path("/tmp/text-recognizer-locks")  # noqa: S108 - sticky


class Ticket:
    """This process's own request: an open, locked file."""

    def __init__(self, path: Path, descriptor: int, record: Record) -> None:
        self.path = path
        self.descriptor = descriptor
        self.record = record

    @property
    def number(self) -> int:
        return int(self.path.stem)

    def leave(self) -> None:
        """Gives up this process's part; the file goes when no child holds it any more."""
        os.close(self.descriptor)
        lock_files.remove_if_unlocked(self.path)


class LeaseFolder:
    """The folder, made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def decision(self, patience_s: float = 30.0, on_wait: Callable[[str], None] | None = None) -> Iterator["Decision"]:
        """A moment in which nobody else looks or takes.

        Args:
            patience_s: how long to wait for the others, who need milliseconds unless one of them is suspended.
            on_wait: told when that takes longer than a second.
        Raises:
            DeviceError: the folder cannot be used, or another process does not let go of it; with the remedy.
        """
        with self._explained():
            descriptor = self._lock_mutex(patience_s, on_wait)
            try:
                yield Decision(self.path)
            finally:
                # Unlocked rather than closed: a child forked meanwhile by another thread has a copy.
                lock_files.unlock(descriptor)
                os.close(descriptor)

    def _lock_mutex(self, patience_s: float, on_wait: Callable[[str], None] | None) -> int:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(parents=True)
            self.path.chmod(0o1777)
        path = self.path / "mutex"
        until = time.monotonic() + patience_s
        while True:
            descriptor = lock_files.open_or_create(path)
            inode = os.fstat(descriptor).st_ino
            left_s = until - time.monotonic()
            turn_s = min(left_s, 1.0) if on_wait else left_s
            if lock_files.lock(descriptor) or lock_files.lock_within(descriptor, turn_s):
                if lock_files.is_at(path, descriptor):
                    return descriptor
                os.close(descriptor)
                continue
            owners = ", ".join(map(processes.described, processes.lock_owners(inode))) or "an unknown process"
            if time.monotonic() >= until:
                raise DeviceError(
                    f"the folder of the GPU leases, '{self.path}', is kept by {owners}, which is probably suspended. "
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
                remedy = f"{self._permissions()}Let its owner run 'chmod 1777 {self.path}', or {elsewhere}."
            raise DeviceError(
                f"the folder of the GPU leases, '{self.path}', cannot be used by {processes.user_name()}: "
                f"{error.strerror or error} ({error.filename or self.path}). {remedy}"
            ) from None

    def _permissions(self) -> str:
        try:
            about = self.path.stat()
        except OSError:
            return ""
        return f"It belongs to {processes.user_name(about.st_uid)}, mode {stat.S_IMODE(about.st_mode):o}. "


class Decision:
    """What can be seen and done while the mutex is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = list(path.iterdir())

    def enqueue(self, record: Record) -> Ticket:
        """Puts a request at the end of the queue."""
        number = max((number for number, _ in self._entries), default=0) + 1
        path = self._path / f"{number:012d}.waiting"
        descriptor = lock_files.create(path)
        try:
            lock_files.lock(descriptor)
            lock_files.write(descriptor, record.to_json())
        except BaseException:
            os.close(descriptor)
            path.unlink()
            raise
        return Ticket(path, descriptor, record)

    def become_lease(self, ticket: Ticket, record: Record) -> None:
        """Turns a waiting request into a lease, after its devices were locked."""
        lock_files.write(ticket.descriptor, record.to_json())
        ticket.record = record
        ticket.path = ticket.path.rename(ticket.path.with_suffix(".lease"))

    def leases(self) -> list[Entry]:
        return list(self._live(".lease"))

    def waiting(self, before: int | None = None) -> Iterator[Entry]:
        """Requests in the queue, oldest first."""
        for entry in self._live(".waiting"):
            if before is not None and entry.number >= before:
                return
            # A child forked by the process that waited may have inherited the lock, but it does not wait.
            if not entry.record.process_is_gone():
                yield entry

    def queue_length(self, before: int) -> int:
        """How many requests wait for longer; dead ones that nobody has come across yet are counted too."""
        return sum(number < before and path.suffix == ".waiting" for number, path in self._entries)

    def lock_devices(self, holding: Holding) -> list[int] | str:
        """Locks all devices or none.

        Returns:
            the descriptors that keep the locks; or the UUID of a device that a process outside the records keeps.
        """
        descriptors: list[int] = []
        with contextlib.ExitStack() as undo:
            for uuid, memory_mib in holding.items():
                descriptors.append(lock_files.open_or_create(self._device_file(uuid)))
                undo.callback(os.close, descriptors[-1])
                if not lock_files.lock(descriptors[-1], shared=memory_mib is not None):
                    return uuid
            undo.pop_all()
        return descriptors

    def lock_owners(self, uuid: str) -> list[int]:
        """Processes that locked a device."""
        try:
            return processes.lock_owners(self._device_file(uuid).stat().st_ino)
        except OSError:
            return []

    def quarantine(self, uuid: str, reason: str) -> None:
        """Keeps a device from being given out until somebody clears it."""
        path = self._quarantine_file(uuid)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            descriptor = lock_files.create(path, mode=0o666)  # whoever repaired the device may clear it
            self._files.append(path)
        try:
            content = {"uuid": uuid, "reason": reason, "since": time.time(), "user": processes.user_name()}
            lock_files.write(descriptor, json.dumps(content).encode())
        finally:
            os.close(descriptor)

    def clear_quarantine(self, uuid: str) -> None:
        path = self._quarantine_file(uuid)
        try:
            path.unlink()
        except PermissionError:
            os.truncate(path, 0)  # another user's file in a sticky folder cannot be removed, but it can be emptied

    def quarantined(self) -> dict[str, str]:
        """Reasons by UUID."""
        found = {}
        for path in self._files:
            if path.suffix == ".quarantine":
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    content: dict[str, Any] = json.loads(path.read_bytes())
                    found[str(content["uuid"])] = str(content["reason"])
        return found

    def stale_files(self) -> list[Path]:
        """Requests whose processes are gone: harmless; a later request of the same user or root removes them."""
        return [path for _, path in self._entries if path.exists() and not lock_files.is_locked(path)]

    def foreign_files(self) -> list[Path]:
        """Files that are not of this folder's making. They are left alone."""
        return sorted(path for path in self._files if not _OWN_FILE.fullmatch(path.name))

    @functools.cached_property
    def _entries(self) -> list[tuple[int, Path]]:
        return sorted((int(match[1]), path) for path in self._files if (match := _ENTRY.fullmatch(path.name)))

    def _device_file(self, uuid: str) -> Path:
        return self._path / f"{_as_file_name(uuid)}.device"

    def _quarantine_file(self, uuid: str) -> Path:
        return self._path / f"{_as_file_name(uuid)}.quarantine"

    def _live(self, suffix: str) -> Iterator[Entry]:
        for number, path in self._entries:
            if path.suffix == suffix and (entry := _entry_if_locked(number, path)):
                yield entry


def _entry_if_locked(number: int, path: Path) -> Entry | None:
    """The request in a file; None, and the file removed if this user may, when no process holds it."""
    try:
        descriptor = lock_files.open_existing(path)
    except FileNotFoundError:
        return None
    try:
        if not lock_files.lock(descriptor, shared=True):
            return read_entry(number, path, descriptor)
        with contextlib.suppress(OSError):  # another user's: harmless where it is
            path.unlink()
        return None
    finally:
        os.close(descriptor)


def _as_file_name(uuid: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", uuid)
