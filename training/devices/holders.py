"""Holder: who has a device or waits for one, in the words for people."""

from dataclasses import dataclass
from datetime import datetime

from training.devices.lease_records import Record
from training.files import processes


@dataclass(frozen=True)
class Holder:
    """A lease on a device, or a request in the queue (then since is when it came).

    Args:
        memory_mib: how much of the device; None for all of it.
    """

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
        return cls(record.pid, record.user, _process(record), record.label, since, record.wish.text, memory_mib)

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


def _process(record: Record) -> str:
    if record.namespace != processes.pid_namespace():
        return f"pid {record.pid} ({record.user}, in another container)"
    if record.process_is_gone():
        return f"a child of pid {record.pid} ({record.user})"
    return processes.described(record.pid) + (", suspended," if record.process_is_suspended() else "")
