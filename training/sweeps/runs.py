"""The runs of a sweep as its driver meets them: given to the executor, or left behind by a driver that died."""

import time
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import RunError
from training.executors.base import Job
from training.files.folder_lock import holder_of
from training.runs.causes import Cause
from training.runs.run import Run, Status
from training.sweeps.trials import Trial, TrialRun

POLL_S = 0.1
INTERRUPTED = "the sweep was interrupted"
ORPHANS_GRACE_S = 60.0


@dataclass
class LiveRun:
    """A run that was given to the executor."""

    trial: Trial
    run: TrialRun
    job: Job
    started: float | None = None
    timed_out: bool = False
    band: int | None = None
    cancelled: int = 0

    def cancel(self, kill: bool, reason: str, cause: Cause) -> None:
        """Asks once, and kills once."""
        if self.cancelled < 1 + kill:
            self.cancelled = 1 + kill
            self.job.cancel(kill=kill, reason=reason, cause=cause)


def status_when_left_alone(folder: Path) -> Status:
    """The state of a run, once the process that an earlier driver of the sweep left behind has ended.

    Raises:
        RunError: it does not end.
    """
    until = time.monotonic() + ORPHANS_GRACE_S
    while _is_at_work(folder, status := Run.open(folder).status()):
        if time.monotonic() > until:
            raise RunError(
                f"the run {folder} is still at work for an earlier driver of this sweep. "
                f"Wait for it, or stop it: text-recognizer runs stop {folder.name}"
            )
        time.sleep(POLL_S)
    return status


def _is_at_work(folder: Path, status: Status) -> bool:
    """Whether a process still has the run: also one that has said how it ended, and waits for its mirror."""
    return status.state == "running" or (status.state != "finished" and holder_of(folder / "run.lock") is not None)


def stop_left_alone(folder: Path, reason: str) -> None:
    """Carries a decision out that was written down, but not followed when the driver died."""
    orphan = Run.open(folder)
    orphan.hold()
    orphan.set_state("stopped", reason, Cause.EARLY_TERMINATION)
    orphan.release()


def is_over(status: Status) -> bool:
    """Whether a run finished or was stopped for good, not only because its driver was."""
    return status.state == "finished" or (status.state == "stopped" and status.cause is not Cause.INTERRUPTED)
