"""Limits of a sweep, classification of failures, and the end of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from text_recognizer.errors import DivergedError, TextRecognizerError
from training.executors.base import Ended
from training.runs.causes import Cause
from training.runs.run import Status

Failure = Literal["spec", "diverged", "out of memory", "crash", "time-out", "device", "full disk", "preempted"]


# In addition to the retries, for any failure: a run that crashes its machine must not continue.
_MOST_IN_VAIN = 20
# The sweep ends when this many trials have failed and none has finished.
FIRST_FAILURES = 3


@dataclass(frozen=True)
class Limits:
    """Settings that may change between two starts of a sweep.

    Args:
        run_cap: maximum number of trials.
        trial_timeout_s: time limit of an attempt.
        retries: retries of a run, from its last checkpoint, after a crash or a time-out; half as many, at least one if
            any, after running out of memory.
        retry_failed: start permanently failed runs again.
        stopping_rule: a rule that replaces the file's, by name with its arguments.
    """

    run_cap: int | None = None
    trial_timeout_s: float | None = None
    retries: int = 1
    retry_failed: bool = False
    stopping_rule: str | None = None

    def tries_again(self, failures: Sequence[str], in_vain: int) -> bool:
        """Whether a run with these failures is started again.

        Args:
            in_vain: number of its starts since it last got further.
        """
        if in_vain >= _MOST_IN_VAIN + self.retries:
            return False
        latest = failures[-1]
        if latest in ("preempted", "device", "full disk"):
            return True
        if latest in ("spec", "diverged"):  # it would fail in the same way
            return False
        allowed = self.retries if latest != "out of memory" else (self.retries + 1) // 2
        return sum(failure == latest for failure in failures) <= allowed


@dataclass(frozen=True)
class SweepEnd:
    """How a sweep ended.

    Args:
        ended: the reason in words.
        complete: nothing is left to do; otherwise the same command continues it.
        failed: it ended because its trials fail.
        next: how it continues, unless it is complete.
    """

    ended: str
    complete: bool
    failed: bool
    exit_code: int
    next: str = "the same command continues it"


def classify(ended: Ended | None, status: Status, timed_out: bool = False) -> Failure:
    """Why an attempt that neither finished nor was stopped has failed; `ended` is None if its end was not observed."""
    if timed_out:
        return "time-out"
    causes = (status.cause, ended.cause if ended is not None else None)
    if Cause.FULL_DISK in causes:
        return "full disk"
    if (
        status.state == "preempted"
        or causes[1] is Cause.PREEMPTED
        or ended is None
        or (status.state == "died" and ended.signal is None)
    ):
        return "preempted"
    if Cause.BROKEN_DEVICE in causes:
        return "device"
    if ended.out_of_memory:
        return "out of memory"
    if ended.exit_code == DivergedError.exit_code:
        return "diverged"
    return "spec" if ended.exit_code == TextRecognizerError.exit_code else "crash"
