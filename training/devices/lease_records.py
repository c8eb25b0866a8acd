"""What the files of the lease folder say: one request each, as one JSON object. Any user may have written them."""

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

# A request for each of a hundred devices takes a tenth of it.
MOST_BYTES = 1 << 18

_Moment = Annotated[float, Ge(0), Le(1e11)]  # later years have no calendar


@dataclass(frozen=True)
class Record:
    """What a request tells about itself.

    Args:
        started: start of the process in clock ticks since boot, which tells it from a later one of the same number.
        namespace: of its process number; a container has its own.
        asked: when it came, in seconds since 1970.
        holds: what it was given; None while it waits.
        since: when it was given that.
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
        """Whether the process that asked can be seen: another container has other process numbers."""
        return self.namespace == processes.pid_namespace()

    def process_is_gone(self) -> bool:
        return self.is_from_here and not processes.is_running(self.pid, self.started)

    def process_is_suspended(self) -> bool:
        return self.is_from_here and processes.is_suspended(self.pid)


@dataclass(frozen=True)
class Entry:
    """A request whose file is locked, that is, one that counts."""

    number: int
    path: Path
    record: Record
    device_and_inode: tuple[int, int] = field(compare=False)

    @property
    def holds(self) -> Holding:
        """Nothing while it waits."""
        return self.record.holds or {}


def read_entry(path: Path) -> Entry | None:
    """The request in a file of any content; None where it holds none of this version, or this user may not read it.

    A file that no process holds means nothing, and is removed if this user may. To be called while the mutex is held.
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
            with contextlib.suppress(OSError):  # another user's is harmless where it is
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
    """Raises ValueError: it is no record."""
    record = _adapter().validate_json(text, strict=True)
    wish = replace(record.wish, text=printable(record.wish.text))
    return replace(record, user=printable(record.user), label=printable(record.label), wish=wish)


@functools.cache
def _adapter() -> "TypeAdapter[Record]":
    from pydantic import TypeAdapter  # 30 ms that a lease on the CPU does not need

    return TypeAdapter(Record)


@dataclass(frozen=True)
class Holder:
    """A lease on a device, all of it where memory_mib is None; or a request in the queue, since it came."""

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
        """The time of day, with the date when it was another day."""
        then = datetime.fromtimestamp(self.since)
        return then.strftime("%H:%M:%S" if then.date() == datetime.now().date() else "%Y-%m-%d %H:%M")

    @property
    def purpose(self) -> str:
        return f" for '{self.label}'" if self.label else ""
