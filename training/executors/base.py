"""Executor and Job: the interface between a sweep and the execution of its runs."""

import concurrent.futures
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from text_recognizer.errors import RunError
from text_recognizer.wording import counted
from training.devices.requests import DeviceRequest
from training.runs.causes import Cause
from training.runs.run import Run

State = Literal["waiting", "running", "ended"]
T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """How the process of a run ended. The result of the run is in its folder.

    Args:
        exit_code: None if a signal ended it, it never started, or its end was not observed.
        reason: the reason in words.
        signal: the number of the signal that ended it.
        out_of_memory: the memory of the machine or of a device was insufficient.
        wall_s: from the start of the process to its end.
        cpu_s: processor time of the process and of the children that it waited for.
        peak_memory_mib: largest resident set, as in `time -v`, including shared pages; None if unknown.
        cause: the cause, if reported by the process; the run's own is in its status.
    """

    exit_code: int | None
    reason: str
    signal: int | None = None
    out_of_memory: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mib: float | None = None
    cause: Cause | None = None


class Job:
    """A run submitted to an executor; `cancel` is called with the job, whether to kill, the reason and the cause."""

    def __init__(self, run: Run, cancel: Callable[["Job", bool, str, Cause], None]) -> None:
        self.run = run
        self._cancel = cancel
        self.future: Future[Ended] = Future()
        self.state: State = "waiting"
        self.waiting_for: str | None = None
        self.place: str | None = None

    def __repr__(self) -> str:
        return f"<Job {self.run.id}: {self.state}>"

    def done(self) -> bool:
        """Whether it has ended; the run may have written its last rows just before."""
        return self.future.done()

    @property
    def ended(self) -> Ended:
        """How it ended. Raises TimeoutError: it has not."""
        return self.future.result(timeout=0)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for its end, by default without limit; returns whether it has ended."""
        return bool(concurrent.futures.wait([self.future], timeout_s).done)

    def cancel(self, kill: bool = False, reason: str = "cancelled", cause: Cause = Cause.ASKED) -> None:
        """Ends a waiting job at once, a running one at its next checkpoint. Returns before it has ended.

        Args:
            kill: do not wait for a checkpoint; kill the process and its whole session.
            reason, cause: for the run's status.
        """
        self._cancel(self, kill, reason, cause)

    def ask_to_stop(self, reason: str, cause: Cause, tell: Callable[[str], None]) -> None:
        """For executors: requests the run to stop, if it has not ended, and reports a failure to do so."""
        if not self.done():
            try:
                self.run.request_stop(reason, cause)
            except (OSError, RunError) as error:
                tell(f"cannot ask {self.run.id} to stop: {error}")

    def end(self, ended: Ended) -> None:
        """For executors: marks the job as ended and notifies waiting threads."""
        if not self.future.done():
            self.state = "ended"
            self.waiting_for = None
            self.future.set_result(ended)


@dataclass(frozen=True)
class Setting:
    """Configuration of an executor by its sweep.

    Args:
        jobs: number of concurrent runs; None: as many as devices or cores allow.
        request: the devices of each run.
        trackers: the trackers of each run; see training.tracking.choice.
        modules: modules of a user's datasets, models and networks, which may be imported before a run starts.
        fresh: start a new interpreter for each run, even if that is slower.
        folder: folder of the sweep, where an executor on several machines may store what it needs to be found again.
    """

    jobs: int | None = None
    request: DeviceRequest = field(default_factory=lambda: DeviceRequest(1))
    trackers: Sequence[str] = ()
    modules: Sequence[str] = ()
    fresh: bool = False
    folder: Path | None = None


class Executor(ABC):
    """Starts runs, and updates `state`, `place` and `waiting_for` of their jobs."""

    capacity: int
    """How many runs it executes at once; further ones wait."""
    runs_have_the_screen = False

    def capacity_in_words(self) -> str:
        """The capacity in words, before any run was submitted."""
        return f"{counted(self.capacity, 'trial')} at once"

    @classmethod
    @abstractmethod
    def open(cls, setting: Setting) -> "Executor":
        """An executor for one sweep. Raises DeviceError, SpecError: it is not possible here.

        Args:
            setting: configuration by the sweep. Further arguments come from `--executor NAME:KEY=VALUE,…`.
        """

    @abstractmethod
    def submit(self, run: Run, **launch: Any) -> Job:
        """Executes a run from its start, or from its last checkpoint. Returns immediately.

        Args:
            run: a folder that no process holds.
            launch: further facts for its launch.json, for example the sweep and trial of the run.
        """

    def rejoin(self, _run: Run) -> Job | None:
        """The job of a run submitted by an earlier driver, if runs can outlive their driver; else None."""
        return None

    @abstractmethod
    def drive(self, loop: Callable[[], T]) -> T:
        """Calls a loop that submits runs and waits for them: here, or in another thread if runs need this one."""

    @abstractmethod
    def kill(self) -> None:
        """Kills all runs at once, including suspended ones, and starts no more. Safe in signal handlers."""

    @abstractmethod
    def close(self) -> None:
        """Ends all jobs, running ones at a checkpoint if they reach one in time, and waits for that."""


def first_ended(jobs: Collection[Job], timeout_s: float | None = None) -> set[Job]:
    """Waits until one of the jobs has ended; returns all that have."""
    futures = {job.future: job for job in jobs}
    done = concurrent.futures.wait(futures, timeout_s, concurrent.futures.FIRST_COMPLETED).done
    return {futures[future] for future in done}
