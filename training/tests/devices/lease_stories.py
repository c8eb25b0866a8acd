"""What tests of leases have in common: leases by the words of the command line, and children that hold them."""

import contextlib
from collections.abc import Callable, Iterator

from training.devices.gpu_manager import GPUManager, Lease
from training.devices.lease_records import Holder
from training.devices.requests import DeviceRequest
from training.tests.devices.forked import Child, Line, Story


def lease(
    gpu: str = "-1",
    memory: str | None = None,
    force: bool = False,
    timeout_s: float | None = 0.0,
    on_wait: Callable[[str], None] | None = None,
    label: str = "",
) -> Lease:
    """A lease as the command line asks for it; at once or not at all unless told otherwise."""
    return GPUManager().lease(DeviceRequest.parse(gpu, memory, force), timeout_s, on_wait, label)


def numbers(lease: Lease) -> list[int]:
    """The devices of a lease, as nvidia-smi counts."""
    return [device.gpu_index for device in lease.devices]


def holder(gpu: str = "-1", memory: str | None = None, label: str = "") -> Story:
    """A story for a child: take a lease, tell which, and keep it until the next line."""

    def story(line: Line) -> None:
        with lease(gpu, memory, timeout_s=None, label=label) as held:
            line.tell(f"has {numbers(held)}")
            line.hear()
        line.tell("released")

    return story


@contextlib.contextmanager
def holding(gpu: str = "-1", memory: str | None = None, label: str = "") -> Iterator[Child]:
    """A child that has its lease by now."""
    with Child(holder(gpu, memory, label)) as child:
        assert child.hear().startswith("has ")
        yield child


def waiting() -> list[Holder]:
    """The requests in the queue."""
    return GPUManager().status().waiting
