"""The GPUs of this machine and their state. Nothing here touches CUDA."""

import os
import sys
import threading

from training.devices.device import Device, Reading


class Nvml:
    """NVML, loaded and opened at the first question. Usable from several threads, and again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened_by: int | None = None
        self._absence: str | None = None

    @property
    def absence(self) -> str:
        """Why there is no device, after devices() or readings() came back empty."""
        return self._absence or "NVML counts 0 GPUs"

    def devices(self) -> list[Device]:
        """All devices, in the order of nvidia-smi; none where there is no NVIDIA driver.

        Raises:
            DeviceError: there is a driver, but NVML does not work with it.
        """
        with self._lock:
            if not self._open():
                return []
            from training.devices import nvml

            return [found.device for found in nvml.scan()]

    def readings(self) -> list[Reading]:
        """The state of all devices, in the same order."""
        with self._lock:
            if not self._open():
                return []
            from training.devices import nvml

            return [nvml.read(found) for found in nvml.scan()]

    def _open(self) -> bool:
        if self._opened_by != os.getpid():
            self._absence = _open_nvml()
            self._opened_by = os.getpid()
        return self._absence is None


def _open_nvml() -> str | None:
    if not sys.platform.startswith("linux"):
        return f"GPUs are managed on Linux only, this is {sys.platform}"
    from training.devices import nvml

    return nvml.open_driver()
