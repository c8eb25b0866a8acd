"""Progress output of a sweep: a live table on a terminal, one line per event elsewhere."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from text_recognizer.train_args import TrainArgs
from training.sweeps.file.parameter import Point
from training.sweeps.judge import LiveRun
from training.sweeps.plan import SweepPlan
from training.sweeps.sweep import Sweep
from training.terminal.tables import shown

REFRESH_S = 0.25
QUIET_S = 30.0


class SweepDisplay:
    """Shows the progress of a sweep. Events are printed; on a terminal, with a table of active runs below."""

    def __init__(self) -> None:
        self._live: Any = None
        self._next = 0.0
        self._started = time.monotonic()
        self._remaining = RemainingTime(self._started)
        self._remaining_of: WeakKeyDictionary[LiveRun, RemainingTime] = WeakKeyDictionary()
        self._planned: dict[int, int] = {}  # epochs by trial
        self._reported: dict[int, int] = {}  # the same
        self._final = set[int]()  # trials for which these no longer change
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(), auto_refresh=False, transient=True)

    def __enter__(self) -> "SweepDisplay":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def event(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            print(text, flush=True)

    def update(self, sweep: Sweep) -> None:
        if time.monotonic() < self._next or sweep.executor.runs_have_the_screen:
            return
        over = len(sweep.trials) - len(sweep.history.unfinished())
        if self._live is not None:
            self._next = time.monotonic() + REFRESH_S
            self._live.update(self._table(sweep, over), refresh=True)
        else:
            self._next = time.monotonic() + QUIET_S
            if time.monotonic() - self._started > QUIET_S:
                print(self._headline(sweep, over), flush=True)

    def _headline(self, sweep: Sweep, over: int) -> str:
        total = min((count for count in (sweep.plan.size, sweep.limits.run_cap) if count is not None), default=None)
        best = sweep.history.best()
        parts = [f"{over} of {total} trials done" if total is not None else f"{over} trials done"]
        if best is not None:
            parts.append(f"best {sweep.history.metric.name} {sweep.history.value(best):.4g} (trial {best.number})")
        if failed := sweep.history.counts()["failed"]:
            parts.append(f"{failed} failed")
        if total is not None:
            seconds = self._remaining.after(*self._epochs(sweep, total), time.monotonic())
            if seconds is not None:
                parts.append(f"about {shown('duration_s', seconds)} left")
        return ", ".join(parts)

    def _epochs(self, sweep: Sweep, total: int) -> tuple[int, float]:
        """Epochs reported by all runs, and remaining ones, including those of trials not yet started."""
        left, planned = 0, self._planned
        for number, trial in sweep.trials.items():
            if number in self._final:
                continue
            if number not in planned:
                planned[number] = epochs_of(sweep.plan, trial.point)
            reported = [0 if run.reused else epochs_reported(sweep.history.reports.rows(run)) for run in trial.runs]
            self._reported[number] = sum(reported)
            if trial.is_over:
                self._final.add(number)
            elif trial.state != "failed":
                unfinished = [epochs for run, epochs in zip(trial.runs, reported, strict=True) if run.ended is None]
                left += sum(max(0, planned[number] - epochs) for epochs in unfinished)
        to_come: float
        if sweep.plan.config is None:
            unstarted = set(range(1, total + 1)) - set(sweep.trials)
            for number in unstarted - set(planned):
                planned[number] = epochs_of(sweep.plan, {"experiment": number - 1})
            to_come = sum(map(planned.__getitem__, unstarted))
        else:
            to_come = max(0, total - len(sweep.trials)) * sum(planned.values()) / max(1, len(planned))
        return sum(self._reported.values()), left + to_come * sweep.plan.seeds

    def _table(self, sweep: Sweep, over: int) -> Any:
        from rich.table import Table

        table = Table(title=self._headline(sweep, over), title_justify="left", box=None, padding=(0, 2, 0, 0))
        metric = sweep.history.metric.name
        for column in ("trial", "run", "device", "epoch", metric, "ETA", "what"):
            table.add_column(column, justify="right" if column in ("trial", "epoch", metric, "ETA") else "left")
        for live in sweep.live:
            rows = sweep.history.reports.rows(live.run)
            epochs = epochs_of(sweep.plan, live.trial.point)
            epoch = epochs_reported(rows)
            value = rows[-1].get(metric) if rows else None
            seconds = self._left_of(live, epoch, epochs - epoch)
            left = shown("duration_s", seconds) if seconds is not None else ""
            swept = sweep.plan.swept(live.trial.point).items()
            short = {name.rpartition(".")[2]: f"{one:.4g}" if isinstance(one, float) else one for name, one in swept}
            what = " ".join(f"{name}={one}" for name, one in short.items())
            number = f"{value:.4g}" if isinstance(value, (int, float)) else ""
            device = live.job.place or live.job.waiting_for or ""
            table.add_row(str(live.trial.number), live.run.id, device, f"{epoch}/{epochs}", number, left, what)
        return table

    def _left_of(self, live: LiveRun, done: int, left: int) -> float | None:
        if live.started is None:
            return None
        remaining = self._remaining_of.setdefault(live, RemainingTime(live.started))
        return remaining.after(done, left, time.monotonic())


class RemainingTime:
    """Estimates the remaining time of a sweep or a run from the epochs since its start, by a monotonic clock."""

    def __init__(self, started: float) -> None:
        self._started = self._reported = started
        self._at_start: int | None = None
        self._done = 0

    def after(self, done: int, left: float, now: float) -> float | None:
        """Remaining seconds by completed and remaining epochs, counting down between reports; None until the first."""
        if self._at_start is None:
            self._at_start = self._done = done
        if done > self._done:
            self._done, self._reported = done, now
        if self._done == self._at_start:
            return None
        an_epoch = (self._reported - self._started) / (self._done - self._at_start)
        return max(0.0, an_epoch * left - (now - self._reported))


def epochs_of(plan: SweepPlan, point: Point) -> int:
    """The planned number of epochs of a point's runs."""
    value = plan.specs(point)[0].train_args.get("epochs", TrainArgs.epochs)
    return value if isinstance(value, int) else TrainArgs.epochs


def epochs_reported(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum("test_loss" not in row for row in rows)
