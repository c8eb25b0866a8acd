"""LeaseSource: leases devices for one run after another, waiting in the background."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest


class LeaseSource:
    """Requests devices, one request at a time, so that a sweep does not fill the machine's queue.

    For use by one thread; on_lease and on_wait are called in another one.
    """

    def __init__(self, request: DeviceRequest, manager: GPUManager) -> None:
        self._request = request
        self._manager = manager
        self._asked: Future[Lease] | None = None

    def take(self, label: str, on_lease: Callable[[], None], on_wait: Callable[[str], None]) -> Lease | None:
        """A lease, if available; else requests one. Raises DeviceError: it was refused; the next call requests again.

        Args:
            label: its purpose, shown to others.
            on_lease: called when `take` should be called again.
            on_wait: called with what is waited for and its holders.
        """
        if self._asked is None:
            self._asked = Future()
            self._asked.add_done_callback(lambda _: on_lease())
            # A daemon thread: an executor would wait for it at exit.
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
        """Releases available leases, and later ones."""
        if self._asked is not None:
            self._asked.add_done_callback(_release)

    def _wait(self, asked: "Future[Lease]", label: str, on_wait: Callable[[str], None]) -> None:
        try:
            asked.set_result(self._manager.lease(self._request, on_wait=on_wait, label=label))
        except Exception as error:  # noqa: BLE001 - it is raised in `take`
            asked.set_exception(error)


def _release(asked: "Future[Lease]") -> None:
    if asked.exception() is None:
        asked.result().release()
