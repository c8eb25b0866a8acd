"""LeaseSource: devices for one run after another, waited for in the background."""

import os
import threading
from collections.abc import Callable

from training.devices.device import Nvml
from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest, resolve, visible_devices


def device_capacity(request: DeviceRequest, manager: GPUManager) -> int | None:
    """How many such requests this machine can serve at once; None on the CPU. A DeviceError if it cannot serve one."""
    nvml = Nvml()
    devices = nvml.devices() if request.count else []
    visible = visible_devices(devices, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if not visible:
        manager.lease(request, timeout_s=0).release()  # on the CPU, or an error
        return None
    wish = resolve(request, devices, visible)
    memory_mib = {device.uuid: device.memory_mib or 0 for device in visible}
    fitting = (
        1 if amount is None else max(1, memory_mib[uuid] // max(1, amount)) for uuid, amount in wish.candidates.items()
    )
    return max(1, sum(fitting) // request.count)


class LeaseSource:
    """Asks for devices, one request at a time, so that a sweep does not fill the machine's queue."""

    def __init__(self, request: DeviceRequest, manager: GPUManager) -> None:
        self._request = request
        self._manager = manager
        self._lock = threading.Lock()
        self._waiting = False
        self._closed = False
        self._lease: Lease | None = None
        self._error: Exception | None = None

    def take(self, label: str, on_lease: Callable[[], None], on_wait: Callable[[str], None]) -> Lease | None:
        """A lease, if one has come by now; asks for one otherwise.

        Args:
            label: what it is for, shown to others.
            on_lease: called, in another thread, when it is time to call again.
            on_wait: told, in another thread, what is waited for and who holds it.
        Raises:
            DeviceError: it was refused; the next call asks again.
        """
        with self._lock:
            error, self._error = self._error, None
            if error is not None:
                raise error
            lease, self._lease = self._lease, None
            if lease is None and not self._waiting:
                self._waiting = True
                threading.Thread(target=self._wait, args=(label, on_lease, on_wait), name="lease", daemon=True).start()
            return lease

    def give_back(self) -> None:
        """Releases a lease that came too late."""
        with self._lock:
            lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def close(self) -> None:
        """What comes from now on is released at once."""
        with self._lock:
            self._closed = True
        self.give_back()

    def _wait(self, label: str, on_lease: Callable[[], None], on_wait: Callable[[str], None]) -> None:
        lease, error = None, None
        try:
            lease = self._manager.lease(self._request, on_wait=on_wait, label=label)
        except Exception as found:  # noqa: BLE001 - it is raised where the lease is wanted
            error = found
        with self._lock:
            self._waiting = False
            self._lease, self._error = lease, error
        if self._closed:
            self.give_back()
        on_lease()
