"""Progress output of a run: a progress bar on a terminal, and one line per epoch everywhere."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from text_recognizer.models.metric import Metric
from training.terminal.log_file import LogFile


class Display:
    """Shows the progress of one training.

    Args:
        epochs: total number of epochs.
        reported: metrics of an epoch by key; those that are `shown` are printed, all are in metrics.jsonl.
        log: log of the run; its terminal, if any, shows the bar.
    """

    REFRESH_S = 0.25

    def __init__(self, epochs: int, reported: Mapping[str, Metric], log: LogFile) -> None:
        self._epochs = epochs
        self._reported = reported
        self._log = log
        self._bar: Any = None if log.terminal is None else _bar(log.terminal)
        self._task: Any = None
        self._next_refresh = 0.0

    def __enter__(self) -> "Display":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def steps_done(self, epoch: int, share: float, loss: Callable[[], float]) -> None:
        """Moves the bar to a share of the whole training, in this epoch, counted from 1."""
        if self._bar is None or time.monotonic() < self._next_refresh:
            return
        self._next_refresh = time.monotonic() + self.REFRESH_S
        if self._task is None:
            self._task = self._bar.add_task("", total=1.0, completed=share)
        self._bar.update(self._task, completed=share, description=f"epoch {epoch}/{self._epochs}  loss {loss():.4f}")
        self._bar.refresh()

    def epoch_done(self, row: dict[str, Any], is_best: bool) -> None:
        shown = "  ".join(f"{name} {row[name]:.4f}" for name, metric in self._reported.items() if metric.shown)
        mark = "  best" if is_best else ""
        self._say(f"epoch {row['epoch']:>{len(str(self._epochs))}}/{self._epochs}  {shown}{mark}")

    def warned(self, text: str) -> None:
        self._say(f"warning     {text}")

    def _say(self, line: str) -> None:
        if self._bar is None:
            print(line, flush=True)
        else:  # above the bar; the copy for the log is written directly
            self._bar.console.print(line, highlight=False, markup=False)
            self._log.write(line + "\n")


def _bar(terminal: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=terminal), auto_refresh=False, transient=True)
