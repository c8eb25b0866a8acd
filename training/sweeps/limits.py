"""What may change between two starts of a sweep, why runs fail, and how a start ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from text_recognizer.errors import DivergedError, TextRecognizerError
from training.devices.gpu_manager import GPUManager
from training.executors.base import Ended
from training.runs.causes import Cause
from training.runs.run import Run, Status
from training.sweeps.trials import TrialRun

Failure = Literal["spec", "diverged", "out of memory", "crash", "time-out", "device", "full disk", "preempted"]


# Besides the retries, whatever the failure: a run that takes its machine down must not go on.
_MOST_ATTEMPTS = 20
# The sweep ends when so many trials failed and none finished.
FIRST_FAILURES = 3


@dataclass(frozen=True)
class Limits:
    """What may change between two starts of a sweep.

    Args:
        run_cap: maximum number of trials.
        trial_timeout_s: an attempt at a run may take so long.
        retries: of a run, from its last checkpoint, after a crash or a time-out; half as often, at least once if at
            all, after running out of memory.
        retry_failed: start runs again that failed for good before.
        stopping_rule: another one than that of the file, by name with its arguments.
    """

    run_cap: int | None = None
    trial_timeout_s: float | None = None
    retries: int = 1
    retry_failed: bool = False
    stopping_rule: str | None = None

    def tries_again(self, failures: Sequence[str], attempts: int) -> bool:
        """Whether a run whose attempts failed in these ways is started again."""
        if attempts >= _MOST_ATTEMPTS + self.retries:
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
        ended: the reason, for people.
        complete: nothing is left to do; otherwise the same command goes on.
        failed: it ended because its trials fail.
    """

    ended: str
    complete: bool
    failed: bool
    exit_code: int


def classify(ended: Ended | None, status: Status, timed_out: bool = False) -> Failure:
    """Why an attempt that neither finished nor was stopped has failed; `ended` is None when its end was not seen."""
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


def quarantine(run: TrialRun, reason: str) -> list[str]:
    """Keeps others from the devices on which a run failed; which these are."""
    attempts = Run.open(run.folder).attempts()
    failed = [device for device in (attempts[-1].get("devices", []) if attempts else []) if device != "cpu"]
    for device in failed:
        GPUManager().quarantine(device.rpartition(" ")[2], reason)
    return failed
