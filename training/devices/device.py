"""The GPUs of this machine and their current state. Nothing here uses CUDA."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device that can be leased: a whole GPU, or one MIG instance of a GPU in MIG mode.

    Args:
        uuid: "GPU-…" or "MIG-…", as in CUDA_VISIBLE_DEVICES.
        gpu_index: number of the physical GPU, as in nvidia-smi.
        memory_mib: memory available to programs; None if NVML does not report it.
        parent: the UUID of a MIG instance's GPU.
    """

    uuid: str
    name: str
    gpu_index: int
    memory_mib: int | None
    parent: str | None = None


@dataclass(frozen=True)
class Reading:
    """The state of a device at one moment.

    Args:
        processes: memory in MiB of the processes on it, by process id from NVML; None if NVML cannot list them, for the
            reason in cannot_tell.
        never_tells: that reason is permanent.
        fault: why the device must not be used; None for a healthy one.
        identified: False if it is unknown which device, or in what form, has the fault; it may come back.
        compute_mode: "default", "exclusive process" or "prohibited" (nvidia-smi -c).
    """

    device: Device
    used_mib: int | None = None
    utilisation_percent: int | None = None
    processes: Mapping[int, int | None] | None = None
    cannot_tell: str | None = None
    never_tells: bool = False
    fault: str | None = None
    identified: bool = True
    compute_mode: str = "default"


class Nvml:
    """NVML, loaded and initialised on first use. Usable from several threads, and again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened_by: int | None = None
        self._absence: str | None = None

    @property
    def absence(self) -> str:
        """Why there are no devices, after devices() or readings() returned none."""
        return self._absence or "NVML counts 0 GPUs"

    def devices(self) -> list[Device]:
        """All devices in nvidia-smi's order; none without a driver. Raises DeviceError: NVML does not work with it."""
        return [reading.device for reading in self.readings()]

    def readings(self) -> list[Reading]:
        """The state of all devices, in the same order."""
        from training.devices import nvml

        with self._lock:
            if self._opened_by != os.getpid():
                self._absence = nvml.open_driver()
                self._opened_by = os.getpid()
            return nvml.readings() if self._absence is None else []
