"""Orphans: runs whose zygote is gone. They notice, and end at a checkpoint; here their ends are awaited."""

import time
from dataclasses import dataclass

from text_recognizer.errors import RunError
from training.executors.base import Job
from training.executors.zygote.sessions import kill_session
from training.files import processes
from training.runs.run import Run

POLL_S = 0.05


@dataclass
class Orphan:
    """A run's process that nobody can wait for.

    Args:
        pid: of its process, with `since` naming it for ever.
        kill_at: when its time is over.
    """

    job: Job
    pid: int
    since: int | None
    kill_at: float

    def is_gone(self) -> bool:
        """Whether it has ended; kills it when its time is over."""
        overdue = time.monotonic() >= self.kill_at
        if processes.is_running(self.pid, self.since):
            if overdue:
                self.kill()
            return False
        # Its first thread may be gone before the others, which keep its files open.
        return overdue or not _is_held(self.job.run)

    def kill(self) -> None:
        if processes.is_running(self.pid, self.since):
            kill_session(self.pid)


def _is_held(run: Run) -> bool:
    try:
        return run.status().state == "running"
    except RunError:  # somebody removed the folder
        return False
