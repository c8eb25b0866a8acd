"""The content of files in the lease folder: one request each, as a JSON object. Any user may have written them."""

import contextlib
import functools
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from training.devices.allocation import Holding, Wish
from training.files import lock_files, processes
from training.files.processes import printable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

# A request for a hundred devices takes a tenth of it.
MOST_BYTES = 1 << 18

_Moment = Annotated[float, Ge(0), Le(1e11)]  # later times cannot be dates


@dataclass(frozen=True)
class Record:
    """A request.

    Args:
        started: start of the process in clock ticks since boot, which distinguishes it from a later one with its id.
        namespace: its process id namespace; a container has its own.
        asked: time of the request, in seconds since 1970.
        holds: granted devices; None while it waits.
        since: when they were granted.
    """

    pid: Annotated[int, Gt(0), Le(2**31 - 1)]
    started: Annotated[int, Ge(0)] | None
    namespace: str
    user: str
    label: str
    asked: _Moment
    wish: Wish
    holds: Holding | None = None
    since: _Moment | None = None
    format: Literal[1] = 1

    @classmethod
    def of_this_process(cls, wish: Wish, label: str) -> "Record":
        pid, namespace = os.getpid(), processes.pid_namespace()
        started, user = processes.started_at(pid), processes.user_name()
        return cls(pid, started, namespace, user, printable(label), time.time(), wish)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @property
    def is_from_here(self) -> bool:
        """Whether the requesting process is visible: another container has other process ids."""
        return self.namespace == processes.pid_namespace()

    def process_is_gone(self) -> bool:
        return self.is_from_here and not processes.is_running(self.pid, self.started)

    def process_is_suspended(self) -> bool:
        return self.is_from_here and processes.is_suspended(self.pid)


@dataclass(frozen=True)
class Entry:
    """A valid request: its file is locked."""

    number: int
    path: Path
    record: Record
    device_and_inode: tuple[int, int] = field(compare=False)

    @property
    def holds(self) -> Holding:
        """Nothing while it waits."""
        return self.record.holds or {}


def read_entry(path: Path) -> Entry | None:
    """The request in a file of any content; None if there is none of this version, or the file is unreadable.

    A file that no process holds is ignored, and removed if permitted. Call this while the mutex is held.
    """
    try:
        about = path.lstat()
        descriptor = lock_files.open_at_once(path)
    except (FileNotFoundError, PermissionError):
        return None
    if descriptor is None:
        return None
    try:
        if lock_files.lock(descriptor, shared=True):
            with contextlib.suppress(OSError):  # another user's file is harmless
                path.unlink()
            return None
        record = _parsed(os.pread(descriptor, MOST_BYTES, 0))
    except ValueError:
        return None
    finally:
        os.close(descriptor)
    if (path.suffix == ".lease") != bool(record.holds):  # a waiting request holds nothing
        return None
    return Entry(int(path.stem), path, record, (about.st_dev, about.st_ino))


def _parsed(text: bytes) -> Record:
    """Parses a record. Raises ValueError: it is not valid."""
    record = _adapter().validate_json(text, strict=True)
    wish = replace(record.wish, text=printable(record.wish.text))
    return replace(record, user=printable(record.user), label=printable(record.label), wish=wish)


@functools.cache
def _adapter() -> "TypeAdapter[Record]":
    from pydantic import TypeAdapter  # takes 30 ms, which a lease on the CPU does not need

    return TypeAdapter(Record)


@dataclass(frozen=True)
class Holder:
    """A lease on a device (the whole device if memory_mib is None), or a request in the queue, with its time."""

    pid: int
    user: str
    process: str
    label: str
    since: float
    wanted: str
    memory_mib: int | None = None

    @classmethod
    def of(cls, record: Record, memory_mib: int | None = None) -> "Holder":
        since = record.asked if record.since is None else record.since
        if not record.is_from_here:
            process = f"pid {record.pid} ({record.user}, in another container)"
        elif record.process_is_gone():
            process = f"a child of pid {record.pid} ({record.user})"
        else:
            process = processes.described(record.pid) + (", suspended," if record.process_is_suspended() else "")
        return cls(record.pid, record.user, process, record.label, since, record.wish.text, memory_mib)

    @property
    def text(self) -> str:
        """As in "held by pid 123 (alice: python train.py) since 12:03:00 for 'mlp-7'"."""
        how = "held" if self.memory_mib is None else f"shared ({self.memory_mib:,} MiB)"
        return f"{how} by {self.process} since {self.clock}{self.purpose}"

    @property
    def clock(self) -> str:
        """The time of day, with the date if it was another day."""
        then = datetime.fromtimestamp(self.since)
        return then.strftime("%H:%M:%S" if then.date() == datetime.now().date() else "%Y-%m-%d %H:%M")

    @property
    def purpose(self) -> str:
        return f" for '{self.label}'" if self.label else ""
