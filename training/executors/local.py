"""LocalExecutor: executes runs in separate processes on this machine, forked from a zygote.

The zygote imports TensorFlow once, so a run starts in milliseconds, but every run has its own process: a crash, a leak
or an out-of-memory kill affects only one run, and its device's memory is released. The devices of a run are leased here
and handed over to its process, which is then their only holder.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from text_recognizer.errors import DeviceError, RunError
from text_recognizer.wording import received
from training.devices.cpu_slots import cpu_slots
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.executors.base import Executor, Job, Setting
from training.executors.zygote.dispatcher import Dispatcher
from training.executors.zygote.lease_source import LeaseSource
from training.executors.zygote.order import Order
from training.executors.zygote.zygote_process import Isolation, ZygoteProcess
from training.runs.run import Run
from training.terminal.command_line import say

T = TypeVar("T")
GRACE_S = 20.0


class LocalExecutor(Executor):
    """Executes several runs at once on this machine. All of them execute the code as it is at the start.

    Args:
        jobs: number of concurrent runs; by default as many as the devices or the cores allow.
        request: the devices of each run; by default one GPU, or the CPU if there is none.
        isolation: "fork" falls back to "exec", with a message, if the zygote must not fork.
        preload: modules of a user's datasets, models and networks; see runs.environment.users_modules.
        grace_s: time for runs to reach a checkpoint when the executor is closed, or dies.
        tell: receives lines for the user; called in another thread.
    Raises:
        DeviceError: such devices do not exist here; or jobs is less than 1.
    """

    def __init__(
        self,
        jobs: int | None = None,
        request: DeviceRequest = DeviceRequest(1),  # noqa: B008 - frozen
        isolation: Isolation = "fork",
        trackers: Sequence[str] = (),
        preload: Sequence[str] = (),
        grace_s: float = GRACE_S,
        tell: Callable[[str], None] = say,
    ) -> None:
        if jobs is not None and jobs < 1:
            raise DeviceError(f"the number of concurrent jobs must be at least 1. {received(jobs)}")
        manager = GPUManager()
        devices = manager.capacity(request)
        usual = cpu_slots(1)[0].threads if devices is None else devices
        self.capacity = min(jobs or usual, devices or jobs or usual)
        self._trackers = trackers
        self._grace_s = grace_s
        slots = cpu_slots(self.capacity)

        def start_zygote(isolation: Isolation) -> ZygoteProcess:
            # Read by the libraries when they are imported; TensorFlow's own threads are set by each run.
            return ZygoteProcess(isolation, preload, grace_s, slots[0].environ)

        leases = None if devices is None else LeaseSource(request, manager)
        self._dispatcher = Dispatcher(start_zygote, isolation, slots, leases, grace_s, tell)
        self._thread = threading.Thread(target=self._dispatcher.run, name="executor", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, setting: Setting) -> "LocalExecutor":
        isolation: Isolation = "exec" if setting.fresh else "fork"
        return cls(setting.jobs, setting.request, isolation, setting.trackers, setting.modules)

    def submit(self, run: Run, **launch: Any) -> Job:
        """See Executor.submit.

        Raises:
            RunError: the executor is closed.
            TypeError: launch is not valid JSON.
        """
        run.clear_stop_request()  # of an earlier attempt; later ones are for this attempt
        return self.start(run, **launch)

    def start(self, run: Run, **launch: Any) -> Job:
        """Like `submit`, but an existing stop request is meant for this attempt."""
        if self.why_closed is not None:
            raise RunError(f"{run.folder} cannot be executed: {self.why_closed.rstrip('.')}.")
        job = Job(run, lambda *what: self._dispatcher.do(lambda: self._dispatcher.cancel(*what)))
        order = Order.for_run(run, self._trackers, self._grace_s, launch)
        self._dispatcher.do(lambda: self._dispatcher.take(job, order))
        return job

    @property
    def why_closed(self) -> str | None:
        """Why it executes no more runs; None if it does."""
        return self._dispatcher.why_closed

    def wait_until_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until the zygote is ready; returns whether it is."""
        return self._dispatcher.ready.wait(timeout_s)

    def drive(self, loop: Callable[[], T]) -> T:
        return loop()

    def kill(self) -> None:
        self._dispatcher.kill()

    def close(self) -> None:
        self._dispatcher.do(lambda: self._dispatcher.close("the executor was closed"))
        self._thread.join()

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
