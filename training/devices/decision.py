"""Decision: operations on the lease folder while this process holds the mutex."""

import contextlib
import functools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import DeviceError
from training.devices.allocation import Holding
from training.devices.lease_records import Entry, Record, read_entry
from training.devices.quarantine import file_of
from training.files import lock_files, processes

_ENTRY = re.compile(r"([0-9]{12,})\.(waiting|lease)")


@dataclass
class Ticket:
    """This process's own request: an open, locked file."""

    path: Path
    descriptor: int
    record: Record

    @property
    def number(self) -> int:
        return int(self.path.stem)

    def leave(self) -> None:
        """Closes this process's copy; the file is removed when no child holds it any more."""
        os.close(self.descriptor)
        lock_files.remove_if_unlocked(self.path)


@dataclass(frozen=True)
class Kept:
    """A device that is held outside the records, and how, as the end of a sentence "GPU 0 is …"."""

    uuid: str
    how: str


class Decision:
    """Operations while the mutex is held, with descriptors of the folder and of its mutex."""

    def __init__(self, path: Path, folder: int, mutex: int) -> None:
        self.path = path
        self._folder = folder
        self._mutex = mutex
        self._files = list(path.iterdir())

    def enqueue(self, record: Record) -> Ticket:
        """Puts a request at the end of the queue."""
        path = self.path / f"{1 + max((number for number, _ in self._entries), default=0):012d}.waiting"
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
            # A child forked by the waiting process may have inherited the lock, but it does not wait.
            if not entry.record.process_is_gone():
                yield entry

    def queue_length(self, before: int) -> int:
        """The number of earlier requests, including dead ones that have not been noticed yet."""
        return sum(number < before and path.suffix == ".waiting" for number, path in self._entries)

    def lock_devices(self, holding: Holding) -> list[int] | Kept:
        """Locks all devices or none: returns the descriptors of the locks, or the first unavailable device."""
        with contextlib.ExitStack() as undo:
            descriptors: list[int] = []

            def keep(descriptor: int) -> None:
                undo.callback(os.close, descriptor)
                descriptors.append(descriptor)

            # systemd-tmpfiles does not clean up a locked folder.
            keep(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder))
            with contextlib.suppress(OSError):  # a file system without such locks
                lock_files.lock(descriptors[0], shared=True)
            for uuid, memory_mib in holding.items():
                path = file_of(self.path, uuid, ".device")
                try:
                    keep(lock_files.open_or_create(path))
                except (OSError, DeviceError) as error:
                    return Kept(uuid, f"impossible to lock: {error}")
                if not lock_files.lock(descriptors[-1], shared=memory_mib is not None):
                    return Kept(uuid, self._locked_by(uuid))
                opened = {path: descriptors[-1], self.path: self._folder, self.path / "mutex": self._mutex}
                if not all(lock_files.is_at(path, descriptor) for path, descriptor in opened.items()):
                    return Kept(uuid, f"in a folder that was removed just now, '{self.path}'")
            undo.pop_all()
        return descriptors

    def kept(self, uuids: Iterable[str], leases: Sequence[Entry]) -> dict[str, str]:
        """Devices that are held outside the records, and how: see Kept."""
        found = {uuid: self._kept(uuid, leases) for uuid in uuids}
        return {uuid: how for uuid, how in found.items() if how is not None}

    def _kept(self, uuid: str, leases: Sequence[Entry]) -> str | None:
        path = file_of(self.path, uuid, ".device")
        try:
            if not lock_files.is_locked(path, at_all=True):
                return None
            locks = processes.count_shared_locks(path.lstat())
        except OSError as error:
            return f"impossible to lock: {error.strerror or error} ({path})"
        recorded = sum(uuid in entry.holds for entry in leases)
        return self._locked_by(uuid) if recorded < max(1, locks) else None

    def _locked_by(self, uuid: str) -> str:
        try:
            inode = file_of(self.path, uuid, ".device").lstat().st_ino
        except OSError:
            inode = -1
        return f"locked by {processes.described_owners(inode)}, without a lease that can be read"

    @functools.cached_property
    def _entries(self) -> list[tuple[int, Path]]:
        return sorted((int(match[1]), path) for path in self._files if (match := _ENTRY.fullmatch(path.name)))

    def _live(self, suffix: str) -> Iterator[Entry]:
        for _, path in self._entries:
            if path.suffix == suffix and (entry := read_entry(path)):
                yield entry
