"""LeaseSource: devices for one run after another, waited for in the background."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest


class LeaseSource:
    """Asks for devices, one request at a time, so that a sweep does not fill the machine's queue.

    For one thread; on_lease and on_wait are called in another one.
    """

    def __init__(self, request: DeviceRequest, manager: GPUManager) -> None:
        self._request = request
        self._manager = manager
        self._asked: Future[Lease] | None = None

    def take(self, label: str, on_lease: Callable[[], None], on_wait: Callable[[str], None]) -> Lease | None:
        """A lease, if it has come; else asks for one. Raises DeviceError: it was refused; the next call asks again.

        Args:
            label: what it is for, shown to others.
            on_lease: called when it is time to call again.
            on_wait: told what is waited for and who holds it.
        """
        if self._asked is None:
            self._asked = Future()
            self._asked.add_done_callback(lambda _: on_lease())
            # A daemon: no executor of threads, which would wait for it when the interpreter ends.
            threading.Thread(target=self._wait, args=(self._asked, label, on_wait), name="lease", daemon=True).start()
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        return asked.result()

    def give_back(self) -> None:
        """Releases a lease that came too late."""
        if self._asked is not None and self._asked.done():
            _release(self._asked)
            self._asked = None

    def close(self) -> None:
        """Releases what has come, and what comes from now on."""
        if self._asked is not None:
            self._asked.add_done_callback(_release)

    def _wait(self, asked: "Future[Lease]", label: str, on_wait: Callable[[str], None]) -> None:
        try:
            asked.set_result(self._manager.lease(self._request, on_wait=on_wait, label=label))
        except Exception as error:  # noqa: BLE001 - it is raised where the lease is wanted
            asked.set_exception(error)


def _release(asked: "Future[Lease]") -> None:
    if asked.exception() is None:
        asked.result().release()
