"""Tracker: somewhere else that shows a run. It mirrors the run folder and can be made again from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from training.runs.run import Run


class Tracker(Protocol):
    """What a mirror calls, in this order. Any of them may fail: the run never notices."""

    def start(self, run: Run) -> None:
        """Shows the run with its spec and environment."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """One report."""

    def log_predictions(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Sample predictions: the rows of predictions.jsonl with an "image" (H, W) uint8 each."""

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """The run is over; its folder is complete."""


class NullTracker:
    """Shows nothing."""

    def start(self, run: Run) -> None: ...

    def log(self, step: int, values: Mapping[str, Any]) -> None: ...

    def log_predictions(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None: ...

    def finish(self, status: str, summary: Mapping[str, float]) -> None: ...
