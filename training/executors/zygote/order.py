"""Order: everything that a process needs to execute a run."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from training.devices.cpu_slots import CpuSlot
from training.devices.device import Device
from training.devices.gpu_manager import LEASE_VARIABLE, Lease
from training.runs.run import Run


@dataclass(frozen=True)
class Order:
    """Plain JSON, so that it can be sent.

    Args:
        grace_s: time to reach a checkpoint once the zygote or the driver has died.
        environ: the whole environment.
        folder: the working folder: a spec may name files and modules relative to it.
        argv: the command line of the sweep, for launch.json.
        launch: further facts for launch.json.
        cores: for os.sched_setaffinity; empty leaves it unchanged.
        lease: devices, memory_mib and path of a lease, whose descriptors are sent with it.
    """

    run_folder: str
    trackers: Sequence[str]
    grace_s: float
    environ: dict[str, str]
    folder: str
    argv: list[str]
    launch: dict[str, Any]
    cores: Sequence[int] = ()
    lease: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def for_run(cls, run: Run, trackers: Sequence[str], grace_s: float, launch: Mapping[str, Any]) -> "Order":
        """The order to execute a run as this process would. Raises TypeError: launch is not valid JSON."""
        json.dumps(launch)
        folder, environ = str(run.folder.resolve()), dict(os.environ)
        return cls(folder, list(trackers), grace_s, environ, str(Path.cwd()), list(sys.argv), dict(launch))

    def placed(self, lease: Lease, slot: CpuSlot) -> "Order":
        """The same on these devices and cores."""
        held = {
            "devices": [asdict(device) for device in lease.devices],
            "memory_mib": list(lease.memory_mib),
            "path": lease.environ[LEASE_VARIABLE],
        }
        return replace(self, cores=slot.cores, environ={**self.environ, **slot.environ}, lease=held)

    def as_lease(self) -> Lease:
        """The lease in the process that inherited its descriptors, for the lifetime of that process."""
        path = self.lease["path"]
        devices = (Device(**device) for device in self.lease["devices"])
        return Lease(tuple(devices), tuple(self.lease["memory_mib"]), path=Path(path) if path else None)


def python_path() -> str:
    """The value of PYTHONPATH with which another process can import the same modules."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
