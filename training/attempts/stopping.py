"""Signals and stop requests of a run, checked between groups of steps."""

import os
import signal
import time
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from training.runs.causes import Cause
from training.runs.run import Run
from training.tracking.wandb.mode import STARTED_BY, under_agent

# Time after a signal from W&B's agent until it is known whether the agent itself is exiting.
AGENT_GRACE_S = 1.0


@dataclass(frozen=True)
class Stop:
    """The reason to stop at the next checkpoint: the run's new state, and exit code (128 + signal, or 0 on request)."""

    state: Literal["stopped", "preempted"]
    reason: str
    exit_code: int
    cause: Cause


class StopWatcher:
    """Converts signals and the run's stop request to a Stop. A second SIGINT ends the process at once.

    SIGTERM and SIGUSR1 mean preemption. W&B's agent uses SIGTERM to stop a run for good, unless the agent exits at the
    same time.
    """

    POLL_S = 0.5

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stop: Stop | None = None
        self._next_look = 0.0
        self._terminated_at: float | None = None
        self._earlier: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopWatcher":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            self._earlier[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def stop(self) -> Stop | None:
        """The reason to stop, if any."""
        if self._stop is None and self._terminated_at is not None:
            self._stop = self._stop_of_agent(self._terminated_at)
        if self._stop is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self.POLL_S
            request = self._run.stop_requested()
            if request is not None:
                self._stop = Stop("stopped", request.reason, 0, request.cause)
        return self._stop

    def stop_for(self, signal_elsewhere: str | None) -> None:
        """Handles a signal received by another process of the training."""
        if signal_elsewhere is not None and self._stop is None:
            number = 128 + signal.Signals[signal_elsewhere]
            words = f"another process received {signal_elsewhere}"
            self._stop = Stop("preempted", words, number, Cause.PREEMPTED)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._stop is not None:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            self._stop = Stop("stopped", "interrupted (Ctrl-C)", 128 + number, Cause.INTERRUPTED)
        elif number == signal.SIGTERM and under_agent():
            self._terminated_at = self._terminated_at or time.monotonic()
        else:
            self._stop = Stop("preempted", f"received {signal.Signals(number).name}", 128 + number, Cause.PREEMPTED)

    def _stop_of_agent(self, terminated_at: float) -> Stop | None:
        """None while the agent may still turn out to be exiting."""
        if os.getppid() != STARTED_BY:
            words = "received SIGTERM, and so did W&B's agent"
            return Stop("preempted", words, 128 + signal.SIGTERM, Cause.PREEMPTED)
        if time.monotonic() - terminated_at < AGENT_GRACE_S:
            return None
        return Stop("stopped", "stopped by W&B's agent", 0, Cause.AGENT)
