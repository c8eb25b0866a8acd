"""InProcessExecutor: executes runs in the calling process, one after the other, for tests and debuggers."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from text_recognizer.errors import RunError
from training.attempts.attempt import attempt
from training.attempts.causes import EXIT_OUT_OF_MEMORY
from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest
from training.executors.base import Ended, Executor, Job, Setting
from training.executors.zygote.endings import after_exit, blaming
from training.runs.causes import Cause
from training.runs.run import Run
from training.terminal.command_line import guarded, say

T = TypeVar("T")
_OVER = "the executor was interrupted"


class InProcessExecutor(Executor):
    """Executes runs in the thread that calls `drive`; outside of `drive`, within `submit`.

    Runs share TensorFlow's state and memory, a crash ends all of them, and output goes to the screen as well as into
    the log. A run cannot be killed without killing all, only asked to stop.

    Args:
        request: the devices of each run.
    """

    capacity = 1
    runs_have_the_screen = True

    def __init__(self, request: DeviceRequest, trackers: Sequence[str] = ()) -> None:
        self._request = request
        self._trackers = trackers
        self._waiting: SimpleQueue[tuple[Job, dict[str, Any]] | None] | None = None
        self._left = False
        self._start = threading.Lock()  # a job is either started or cancelled

    @classmethod
    def open(cls, setting: Setting) -> "InProcessExecutor":
        return cls(setting.request, setting.trackers)

    def submit(self, run: Run, **launch: Any) -> Job:
        """See Executor.submit; outside of `drive`, returns after the run's end. Raises RunError: it was interrupted."""
        if self._left:
            raise RunError(f"{run.folder} cannot be executed: {_OVER}.")
        run.clear_stop_request()
        job = Job(run, self._cancel)
        if self._waiting is None:
            self._execute(job, launch)
        else:
            self._waiting.put((job, launch))
        return job

    def drive(self, loop: Callable[[], T]) -> T:
        """See Executor.drive; the loop gets its own thread, the runs use this one, which receives the signals.

        A signal during a run is first handled by the run, and afterwards by the loop's own handler.
        """
        outcome: Future[T] = Future()
        waiting = self._waiting = SimpleQueue()

        def call() -> None:
            try:
                outcome.set_result(loop())
            except BaseException as error:  # noqa: BLE001 - raised again in the other thread
                outcome.set_exception(error)
            finally:
                waiting.put(None)

        thread = threading.Thread(target=call, name="driver", daemon=True)
        thread.start()
        try:
            while (submitted := waiting.get()) is not None:
                self._execute(*submitted, pass_signals_on=True)
        finally:
            self._left = True  # waiting threads learn that their jobs will not be executed
            with contextlib.suppress(Empty):
                while (submitted := waiting.get_nowait()) is not None:
                    submitted[0].end(Ended(None, f"not started: {_OVER}"))
            thread.join()
        self._waiting, self._left = None, False
        return outcome.result()

    def kill(self) -> None:
        """Does nothing: a run in this process gets the signals itself."""

    def close(self) -> None:
        """Does nothing."""

    def _execute(self, job: Job, launch: dict[str, Any], pass_signals_on: bool = False) -> None:
        with self._start:
            if job.done():
                return
            job.state = "running"
        began, cpu_before = time.monotonic(), time.process_time()
        try:
            with _received_signals(pass_signals_on) as received:
                code = self._attempt(job.run, launch)
        except BaseException as error:
            job.future.set_exception(error)
            raise
        # Before the job counts as ended: then the consequences of the signal are decided.
        if received:
            signal.raise_signal(signal.SIGINT if signal.SIGINT in received else signal.SIGTERM)
        wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_before
        job.end(Ended(code, after_exit(job.run, code), None, code == EXIT_OUT_OF_MEMORY, wall_s, cpu_s))

    def _attempt(self, run: Run, launch: dict[str, Any]) -> int:
        environ = dict(os.environ)

        def lead() -> int:
            leased = Lease.inherited() or GPUManager().lease(self._request, on_wait=say, label=run.id)
            with leased as lease, blaming(lease.devices):
                return attempt(run, lease, self._trackers, stop_request_stands=True, **launch)

        try:
            return guarded(lead)
        finally:
            # Not at once: the loop's thread reads some of it meanwhile.
            for name in os.environ.keys() - environ.keys():
                del os.environ[name]
            os.environ.update(environ)

    def _cancel(self, job: Job, _kill: bool, reason: str, cause: Cause) -> None:
        with self._start:
            if job.state == "waiting":
                job.end(Ended(None, f"{reason}, before it started", cause=cause))
        job.ask_to_stop(reason, cause, say)


@contextlib.contextmanager
def _received_signals(listen: bool) -> Iterator[set[int]]:
    """Collects the termination signals during the block, regardless of their handlers; filled at its end."""
    received: set[int] = set()
    if not listen:
        yield received
        return
    noted, note = socket.socketpair()
    with noted, note:
        noted.setblocking(False)
        note.setblocking(False)
        earlier = signal.set_wakeup_fd(note.fileno(), warn_on_full_buffer=False)
        try:
            yield received
        finally:
            signal.set_wakeup_fd(earlier)
            with contextlib.suppress(BlockingIOError):
                received |= {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}.intersection(noted.recv(1 << 12))
