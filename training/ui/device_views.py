"""Devices as the page shows them: the output of `gpus`, and the last hour of each while the page is served."""

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from text_recognizer.errors import TextRecognizerError
from training.devices.cpu_slots import cpu_slots
from training.devices.gpu_manager import GPUManager
from training.views.devices import as_json, state_of

EVERY_S = 10.0
HOUR_S = 3600.0


@dataclass
class Devices:
    """Readings of this machine's devices, oldest first: time, MiB by UUID, utilisation in percent by UUID."""

    manager: GPUManager = field(default_factory=GPUManager)
    readings: deque[tuple[float, dict[str, int | None], dict[str, int | None]]] = field(
        default_factory=lambda: deque(maxlen=round(HOUR_S / EVERY_S))
    )
    _watcher: threading.Thread | None = None

    def described(self) -> dict[str, Any]:
        """Now and the last hour, recorded from the first call on. Raises DeviceError: the lock folder is unusable."""
        status = self.manager.status()
        if status.devices and self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        now = time.time()
        return {
            **as_json(status),
            "states": [state_of(device) for device in status.devices],
            "waiting_texts": [
                f"{one.process} has waited since {one.clock} for {one.wanted}{one.purpose}" for one in status.waiting
            ],
            "readings": [((when - now) / 60, memory, load) for when, memory, load in list(self.readings)],
            "cpu_threads": cpu_slots(1)[0].threads,
        }

    def read(self) -> None:
        """Adds a reading."""
        devices = self.manager.status().devices
        memory = {one.device.uuid: one.used_mib for one in devices}
        load = {one.device.uuid: one.utilisation_percent for one in devices}
        self.readings.append((time.time(), memory, load))

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(TextRecognizerError):  # the lock folder is briefly unavailable
                self.read()
            time.sleep(EVERY_S)
