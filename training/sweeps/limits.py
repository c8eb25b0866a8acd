"""What may change between two starts of a sweep, and how a start of it ended."""

from dataclasses import dataclass, field

from training.sweeps.failures import RetryPolicy


@dataclass(frozen=True)
class Limits:
    """What may change between two starts of a sweep.

    Args:
        run_cap: at most so many trials in all.
        trial_timeout_s: an attempt at a run may take so long.
        retry_failed: start runs again that failed for good before.
        stopping_rule: another one than that of the file, by name with its arguments.
    """

    run_cap: int | None = None
    trial_timeout_s: float | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    retry_failed: bool = False
    stopping_rule: str | None = None


@dataclass(frozen=True)
class SweepResult:
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
