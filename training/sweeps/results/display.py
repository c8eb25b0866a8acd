"""What a person sees of a sweep: a live table on a terminal, one line an event elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any

from training.executors.in_process import InProcessExecutor
from training.sweeps.sweep import Sweep
from training.sweeps.trials import Trial

REFRESH_S = 0.25
QUIET_S = 30.0


class SweepDisplay:
    """Follows one sweep. Events are printed; on a terminal a table of the runs at work stays below them."""

    def __init__(self) -> None:
        self._live: Any = None
        self._next = 0.0
        self._started = time.monotonic()
        self._done_at_start: int | None = None
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(), auto_refresh=False, transient=True)

    def __enter__(self) -> "SweepDisplay":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def event(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            print(text, flush=True)

    def update(self, sweep: Sweep) -> None:
        if time.monotonic() < self._next or isinstance(sweep.executor, InProcessExecutor):  # its runs have the screen
            return
        over = sum(trial.is_over for trial in sweep.trials.values())
        if self._done_at_start is None:
            self._done_at_start = over
        if self._live is not None:
            self._next = time.monotonic() + REFRESH_S
            self._live.update(self._table(sweep, over), refresh=True)
        else:
            self._next = time.monotonic() + QUIET_S
            if time.monotonic() - self._started > QUIET_S:
                print(self._headline(sweep, over), flush=True)

    def _headline(self, sweep: Sweep, over: int) -> str:
        total = sweep.plan.size if sweep.plan.size is not None else sweep.limits.run_cap
        best = sweep.history.best()
        parts = [f"{over} of {total} trials done" if total is not None else f"{over} trials done"]
        if best is not None:
            parts.append(f"best {sweep.history.metric.name} {sweep.history.value(best):.4g} (trial {best.number})")
        failed = sum(trial.state == "failed" for trial in sweep.trials.values())
        if failed:
            parts.append(f"{failed} failed")
        if total is not None and over > (self._done_at_start or 0):
            spent = time.monotonic() - self._started
            left = spent / (over - (self._done_at_start or 0)) * max(0, total - over)
            parts.append(f"about {_duration(left)} left")
        return ", ".join(parts)

    def _table(self, sweep: Sweep, over: int) -> Any:
        from rich.table import Table

        table = Table(title=self._headline(sweep, over), title_justify="left", box=None, padding=(0, 2, 0, 0))
        for column in ("trial", "run", "device", "epoch", sweep.history.metric.name, "ETA", "what"):
            table.add_column(
                column, justify="right" if column in ("trial", "epoch", sweep.history.metric.name, "ETA") else "left"
            )
        for live in sweep.live:
            rows = sweep.history.reports.rows(live.run)
            epochs = _epochs(sweep, live.trial)
            epoch = len([row for row in rows if "loss" in row])
            value = rows[-1].get(sweep.history.metric.name) if rows else None
            elapsed = time.monotonic() - live.started if live.started is not None else None
            left = _duration(elapsed / epoch * (epochs - epoch)) if elapsed is not None and epoch and epochs else ""
            table.add_row(
                str(live.trial.number),
                live.run.id,
                live.job.place or live.job.waiting_for or "",
                f"{epoch}/{epochs}" if epochs else str(epoch),
                f"{value:.4g}" if isinstance(value, (int, float)) else "",
                left,
                " ".join(
                    f"{name.rpartition('.')[2]}={_short(value)}"
                    for name, value in sweep.plan.swept(live.trial.point).items()
                ),
            )
        return table


def _epochs(sweep: Sweep, trial: Trial) -> int | None:
    value = sweep.plan.specs(trial.point)[0].train_args.get("epochs", 16)
    return value if isinstance(value, int) else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
