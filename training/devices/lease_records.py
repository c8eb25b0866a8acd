"""What the files of the lease folder say: one request each, as one JSON object."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from text_recognizer.errors import DeviceError
from training.devices.allocation import Holding, Wish
from training.files import processes

FORMAT = 1


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

    pid: int
    started: int | None
    namespace: str
    user: str
    label: str
    asked: float
    wish: Wish
    holds: Holding | None = None
    since: float | None = None

    @classmethod
    def of_this_process(cls, wish: Wish, label: str) -> "Record":
        pid, namespace = os.getpid(), processes.pid_namespace()
        return cls(pid, processes.started_at(pid), namespace, processes.user_name(), label, time.time(), wish)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Record":
        """Raises ValueError, KeyError or TypeError when it is something else."""
        values: dict[str, Any] = json.loads(text)
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        return cls(**{**values, "wish": Wish(**values["wish"])})

    def process_is_gone(self) -> bool:
        """Whether the process that asked has ended, as far as can be seen from here."""
        return self._is_visible() and not processes.is_running(self.pid, self.started)

    def process_is_suspended(self) -> bool:
        """Whether the process that asked was stopped (Ctrl-Z), as far as can be seen from here."""
        return self._is_visible() and processes.is_suspended(self.pid)

    def _is_visible(self) -> bool:
        return self.namespace == processes.pid_namespace()


@dataclass(frozen=True)
class Entry:
    """A request whose file is locked, that is, one that counts."""

    number: int
    path: Path
    record: Record
    device_and_inode: tuple[int, int] = field(compare=False)


def read_entry(number: int, path: Path, descriptor: int) -> Entry:
    """Reads a locked file.

    Raises:
        DeviceError: it holds something else than a request.
    """
    about = os.fstat(descriptor)
    try:
        record = Record.from_json(os.pread(descriptor, about.st_size, 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        owners = ", ".join(map(processes.described, processes.lock_owners(about.st_ino))) or "an unknown process"
        raise DeviceError(
            f"'{path}' is locked by {owners}, but is no lease of this version. End that process, or set "
            f"TEXT_RECOGNIZER_LOCKS to another folder (the same for all users of these GPUs)."
        ) from None
    return Entry(number, path, record, (about.st_dev, about.st_ino))
