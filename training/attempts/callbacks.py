"""Decisions at the end of an epoch. Each keeps its whole state in `state`, so that a resumed run decides the same."""

from typing import Any

from text_recognizer.models.metric import Metric
from text_recognizer.schedules import ReduceOnPlateau
from text_recognizer.train_args import EarlyStopping


class BestEpoch:
    """Remembers which epoch was the best by the monitored metric."""

    def __init__(self, monitor: str, metric: Metric) -> None:
        self.monitor = monitor
        self.metric = metric
        self.state: dict[str, Any] = {"epoch": 0, "value": None}

    def improved(self, epoch: int, row: dict[str, Any]) -> bool:
        value = monitored(row, self.monitor)
        if not self.metric.improves(value, self.state["value"]):
            return False
        self.state = {"epoch": epoch, "value": value}
        return True


class EarlyStop:
    """Stops when a metric has not improved for `patience` epochs."""

    def __init__(self, args: EarlyStopping, monitor: str, metric: Metric) -> None:
        self.args = args
        self.monitor = monitor
        self.metric = metric
        self.state: dict[str, Any] = {"best": None, "waited": 0}

    def reason(self, row: dict[str, Any]) -> str | None:
        """Why to stop now, or None."""
        value = monitored(row, self.monitor)
        if self.metric.improves(value, self.state["best"], self.args.min_delta):
            self.state = {"best": value, "waited": 0}
            return None
        self.state["waited"] += 1
        if self.state["waited"] < self.args.patience:
            return None
        return f"{self.monitor} has not improved for {self.args.patience} epochs"


class Plateau:
    """Reduces the learning rate when a metric has not improved for `patience` epochs."""

    def __init__(self, args: ReduceOnPlateau, monitor: str, metric: Metric) -> None:
        self.args = args
        self.monitor = monitor
        self.metric = metric
        self.state: dict[str, Any] = {"best": None, "waited": 0}

    def next_rate(self, row: dict[str, Any], learning_rate: float) -> float:
        """The learning rate of the next epoch."""
        value = monitored(row, self.monitor)
        if self.metric.improves(value, self.state["best"], self.args.min_delta):
            self.state = {"best": value, "waited": 0}
            return learning_rate
        self.state["waited"] += 1
        if self.state["waited"] < self.args.patience:
            return learning_rate
        self.state["waited"] = 0
        return max(learning_rate * self.args.factor, self.args.min_learning_rate)


def monitored(row: dict[str, Any], monitor: str) -> float:
    """The value of the monitored metric; the spec was checked to name one that is reported."""
    return float(row[monitor])
