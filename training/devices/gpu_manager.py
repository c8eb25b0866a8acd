"""GPUManager: leases on devices, so that no two runs on a machine ever get the same one.

A lease is a kernel lock. It is held by the process that took it and by every child that inherited its descriptors, and
ends when the last of them exits, for any reason. There is no server and nothing to clean up.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from text_recognizer.errors import DeviceError
from training.devices import quarantine
from training.devices.decision import Ticket
from training.devices.device import Device, Nvml
from training.devices.lease_folder import LeaseFolder, lock_folder
from training.devices.queue import Waiter
from training.devices.requests import DeviceRequest, resolve, visible_devices
from training.devices.status import Status, read_status
from training.devices.verdicts import is_covered

LEASE_VARIABLE = "TEXT_RECOGNIZER_LEASE"
MEMORY_VARIABLE = "TEXT_RECOGNIZER_GPU_MEMORY_MIB"


@dataclass(eq=False)
class Lease:
    """Devices of this process until release(), or until it and all children that inherited the lease have exited.

    A child inherits it by being forked, or started with ``subprocess.Popen(…, pass_fds=lease.fds,
    env=os.environ | lease.environ)``. A lease that is dropped without release() stays as long as the process.

    Args:
        devices: in the order in which the program will see them; none for a lease on the CPU.
        memory_mib: memory of each device; None for all of it.
        notices: messages for the user.
        fds: descriptors that keep the lease; a child that has them keeps it too.
        path: the record of the holder; none on the CPU.
        ticket: the request that release() gives up; none if another process does.
    """

    devices: tuple[Device, ...] = ()
    memory_mib: tuple[int | None, ...] = ()
    notices: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()
    path: Path | None = None
    ticket: Ticket | None = field(default=None, repr=False)

    @classmethod
    def inherited(cls, environ: Mapping[str, str] | None = None) -> "Lease | None":
        """The lease of the parent that started this process, which must not wait for another one; None without one."""
        path = (os.environ if environ is None else environ).get(LEASE_VARIABLE)
        if not path or not Path(path).exists():
            return None
        with LeaseFolder(Path(path).parent).decision() as decision:
            found = [entry for entry in decision.leases() if entry.path == Path(path)]
        # The variable may have outlived its lease, and the file may now belong to another one.
        if not is_covered(os.getpid(), found):
            return None
        holding = found[0].holds
        known = {device.uuid: device for device in Nvml().devices()}
        devices = (known.get(uuid, Device(uuid, "unknown", -1, None)) for uuid in holding)
        return cls(tuple(devices), tuple(holding.values()), path=Path(path))

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables to set before TensorFlow (or JAX) is loaded.

        TEXT_RECOGNIZER_GPU_MEMORY_MIB has the memory of a share, one number per device; it is empty for whole devices.
        """
        if not self.devices:
            # Not "": TensorFlow reports -1 as "hides all GPUs", and empty variables are sometimes lost.
            return {"CUDA_VISIBLE_DEVICES": "-1", LEASE_VARIABLE: "", MEMORY_VARIABLE: ""}
        return {
            "CUDA_VISIBLE_DEVICES": ",".join(device.uuid for device in self.devices),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            LEASE_VARIABLE: str(self.path or ""),
            MEMORY_VARIABLE: ",".join(str(amount) for amount in self.memory_mib if amount is not None),
        }

    def release(self) -> None:
        """Ends this process's part in the lease. Further calls have no effect."""
        if self.ticket is None:
            return
        ticket, self.ticket = self.ticket, None
        for descriptor in self.fds:
            if descriptor != ticket.descriptor:
                os.close(descriptor)
        self.fds = ()
        ticket.leave()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class GPUManager:
    """Leases the devices of this machine; processes coordinate through TEXT_RECOGNIZER_LOCKS or a default folder."""

    def __init__(self, lock_dir: Path | None = None) -> None:
        self._lock_dir = lock_dir
        self._nvml = Nvml()

    def lease(
        self,
        request: DeviceRequest,
        timeout_s: float | None = None,
        on_wait: Callable[[str], None] | None = None,
        label: str = "",
    ) -> Lease:
        """Waits in the queue until the devices are free, and takes all of them or none.

        Without a GPU, a request for any one or for a numbered one becomes a lease on the CPU, with a notice.

        Args:
            timeout_s: 0 to take them now or not at all; None to wait without limit.
            on_wait: called with what is waited for and its holders, whenever that changes.
            label: purpose of the lease, shown to others; a run's name.
        Raises:
            DeviceError: the request can never be satisfied here, or timed out; or the lock folder is unusable.
        """
        devices, visible = self._devices(request)
        if not visible:
            return self._cpu_instead(request, devices)
        wish = resolve(request, devices, visible)
        ticket, fds = Waiter(self._folder(), self._nvml, wish, visible, label, on_wait).wait(timeout_s)
        by_uuid, holding = {device.uuid: device for device in visible}, ticket.record.holds or {}
        return Lease(tuple(by_uuid[uuid] for uuid in holding), tuple(holding.values()), (), fds, ticket.path, ticket)

    def capacity(self, request: DeviceRequest) -> int | None:
        """The number of such requests that can be served at once; None on the CPU. Raises DeviceError: not even one."""
        devices, visible = self._devices(request)
        if not visible:
            self._cpu_instead(request, devices)
            return None
        wish = resolve(request, devices, visible)
        memory_mib = {device.uuid: device.memory_mib or 0 for device in visible}
        fitting = (1 if size is None else max(1, memory_mib[uuid] // size) for uuid, size in wish.candidates.items())
        return max(1, sum(fitting) // request.count)

    def status(self) -> Status:
        """Holders, queue and state of the devices."""
        return read_status(self._folder(), self._nvml)

    def quarantine(self, uuid: str, reason: str) -> None:
        """Excludes a device from leases until it is cleared; for failures that only a run notices."""
        with self._folder().decision() as decision:
            quarantine.quarantine(decision.path, uuid, reason)

    def clear_quarantine(self, uuid: str) -> None:
        """Makes a repaired device available again. Raises DeviceError: it is not in quarantine."""
        with self._folder().decision() as decision:
            if uuid not in (quarantined := quarantine.quarantined(decision.path)):
                known = ", ".join(sorted(quarantined)) or "none"
                raise DeviceError(f"{uuid} is not in quarantine. In quarantine: {known}.")
            quarantine.clear(decision.path, uuid)

    def _folder(self) -> LeaseFolder:
        return LeaseFolder(self._lock_dir or lock_folder())

    def _devices(self, request: DeviceRequest) -> tuple[list[Device], list[Device]]:
        """All devices, and those available to this process; none for a request of the CPU."""
        devices = self._nvml.devices() if request.count else []
        return devices, visible_devices(devices, os.environ.get("CUDA_VISIBLE_DEVICES"))

    def _cpu_instead(self, request: DeviceRequest, devices: Sequence[Device]) -> Lease:
        if request.count == 0:
            return Lease()
        if devices:
            why = f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')} hides all GPUs of this machine"
            possible, because = request.wanted is None, ""
        else:
            why, because = "no GPU on this machine", f" ({self._nvml.absence})"
            possible = request.wanted is None or request.wanted[0].isdecimal()
        if request.count > 1 or request.shares or not possible:
            raise DeviceError(f"cannot lease {request.text}: {why}{because}. Use --gpu=none to run on the CPU.")
        return Lease(notices=(f"{why}: running on the CPU",))
