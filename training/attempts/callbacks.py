"""Decisions at the end of an epoch. Each keeps its whole state in `state`, so that a resumed run decides the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from text_recognizer.models.metric import Metric
from text_recognizer.recipes import ScheduleRecipe
from text_recognizer.schedules import ReduceOnPlateau
from text_recognizer.train_args import EarlyStopping, TrainArgs

Row = dict[str, Any]  # a report of an epoch


@dataclass
class BestEpoch:
    """Remembers which epoch was the best by the monitored metric."""

    monitor: str
    metric: Metric
    state: dict[str, Any] = field(default_factory=lambda: {"epoch": 0, "value": None})

    def improved(self, epoch: int, row: Row) -> bool:
        value = float(row[self.monitor])
        if not self.metric.improves(value, self.state["value"]):
            return False
        self.state = {"epoch": epoch, "value": value}
        return True


@dataclass
class _Patience:
    """Counts the epochs in which a metric has not improved."""

    args: EarlyStopping | ReduceOnPlateau
    monitor: str
    metric: Metric
    state: dict[str, Any] = field(default_factory=lambda: {"best": None, "waited": 0})

    def is_over(self, row: Row) -> bool:
        value = float(row[self.monitor])
        if self.metric.improves(value, self.state["best"], self.args.min_delta):
            self.state = {"best": value, "waited": 0}
            return False
        self.state["waited"] += 1
        return bool(self.state["waited"] >= self.args.patience)


class EarlyStop(_Patience):
    """Stops when a metric has not improved for `patience` epochs."""

    def reason(self, row: Row) -> str | None:
        """Why to stop now, or None."""
        return f"{self.monitor} has not improved for {self.args.patience} epochs" if self.is_over(row) else None


class Plateau(_Patience):
    """Reduces the learning rate when a metric has not improved for `patience` epochs."""

    args: ReduceOnPlateau

    def next_rate(self, row: Row, learning_rate: float) -> float:
        """The learning rate of the next epoch."""
        if not self.is_over(row):
            return learning_rate
        self.state["waited"] = 0
        return max(learning_rate * self.args.factor, self.args.min_learning_rate)


def decisions(
    args: TrainArgs, schedule: ScheduleRecipe, reported: Mapping[str, Metric]
) -> tuple[BestEpoch, EarlyStop | None, Plateau | None]:
    """The decisions of a training, by what an epoch reports."""
    stopping = args.early_stopping
    reducing = schedule.on_plateau
    watched = (stopping and stopping.monitor) or args.monitor
    return (
        BestEpoch(args.monitor, reported[args.monitor]),
        EarlyStop(stopping, watched, reported[watched]) if stopping else None,
        Plateau(reducing, args.monitor, reported[args.monitor]) if reducing else None,
    )
