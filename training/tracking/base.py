"""Tracker: mirrors a run folder elsewhere; the mirror can be made again from the folder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.runs.run import Run


@dataclass(frozen=True)
class Facts:
    """Facts about a mirror for mirror.json and the end of a run: the location of its files, and the run's page."""

    folder: str | None = None
    url: str | None = None


class Tracker(ABC):
    """Called by a mirror, in this order, in a separate process: failures and hangs never affect the run.

    The constructor's arguments are those of `--track NAME:KEY=VALUE,…`.

        class Printer(Tracker):
            def start(self, run): print(run.id)
            def log(self, epoch, row): print(epoch, row)
            def finish(self, state, summary): return Facts()
    """

    @abstractmethod
    def start(self, run: Run) -> None:
        """Shows the run with its spec and environment. All reports so far follow, again if necessary."""

    @abstractmethod
    def log(self, epoch: int, row: Mapping[str, Any]) -> None:
        """One report: a line of metrics.jsonl. The test metrics are a separate report after the last epoch."""

    def log_examples(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027 - may be left out
        """The readings of a few validation samples after an epoch; rows as in `log_predictions`."""

    def log_predictions(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027 - may be left out
        """Sample predictions: rows of predictions.jsonl with an "image" (H, W, C) uint8 each."""

    @abstractmethod
    def finish(self, state: str, summary: Mapping[str, float]) -> Facts:
        """The run is over, its folder complete: finished, stopped, failed, preempted or died."""
