"""Place: a run that was started, what it occupies, and its end where its zygote is gone and cannot report it."""

import time
from dataclasses import dataclass

from text_recognizer.errors import RunError
from training.executors.base import Job
from training.executors.zygote.sessions import kill_session
from training.files import processes

POLL_S = 0.05


@dataclass(eq=False)
class Place:
    """A running job.

    Args:
        slot: the cores it has.
        log_size_before: bytes that earlier attempts left in its log.
        pid: of its process, which `since` tells from a later one of that number; None until the zygote reports it.
        orphaned: how its zygote ended, if it did. The run notices, and ends at a checkpoint.
        kill_at: when an orphan's time is over.
    """

    job: Job
    slot: int
    log_size_before: int
    pid: int | None = None
    since: int | None = None
    orphaned: str | None = None
    kill_at: float = float("inf")

    def is_gone(self) -> bool:
        """Whether an orphan has ended; kills it when its time is over."""
        overdue = time.monotonic() >= self.kill_at
        if self._is_running():
            if overdue:
                self.kill()
            return False
        # Its first thread may be gone before the others, which keep its files open.
        return overdue or not self._is_held()

    def kill(self) -> None:
        if self.pid is not None and self._is_running():
            kill_session(self.pid)

    def _is_running(self) -> bool:
        return self.pid is not None and processes.is_running(self.pid, self.since)

    def _is_held(self) -> bool:
        try:
            return self.job.run.status().state == "running"
        except RunError:  # the folder was removed
            return False
