"""What a sweep leaves behind: leaderboard, best spec, report, and the lines a person reads last."""

import sys
from typing import Any

from training.sweeps.limits import SweepResult
from training.sweeps.results.leaderboard import ranked, rows, write_leaderboard
from training.sweeps.results.report import write_report
from training.sweeps.results.study import parameter_importance
from training.sweeps.sweep import Sweep
from training.terminal.tables import print_table, shown

SHOWN = 10


def finish_sweep(sweep: Sweep, result: SweepResult) -> int:
    """Writes what is derived from the sweep and prints its summary; the exit code."""
    write_leaderboard(sweep)
    importance = importance_of(sweep)
    report = write_report(sweep, importance) if sweep.trials else None
    counts = {
        state: sum(trial.state == state for trial in sweep.trials.values())
        for state in ("finished", "stopped", "failed", "pending")
    }
    listed = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    print(f"ended       {result.ended} ({listed or 'nothing was started'})")
    columns, cells = rows(sweep, ranked(sweep)[:SHOWN])
    if cells:
        print_table(
            columns, [[shown(column, cell) for column, cell in zip(columns, line, strict=True)] for line in cells]
        )
    if importance:
        print("importance  " + ", ".join(f"{name} {share:.2f}" for name, share in importance.items()))
    best = sweep.best()
    if best is not None:
        print(f"best        trial {best.number}: run_experiment {sweep.folder.path / 'best_spec.json'}")
    if report is not None:
        print(f"report      {report}")
    if not result.complete:
        print(f"go on with  the same command, or: text-recognizer sweeps show {sweep.folder.name}")
    if result.failed:
        print(f"error: {result.ended}", file=sys.stderr)
    return result.exit_code


def importance_of(sweep: Sweep) -> dict[str, float]:
    """How much each swept parameter matters, as far as the trials tell."""
    if sweep.plan.config is None:
        return {}
    past: list[Any] = [sweep.past_trial(trial) for trial in sweep.trials.values()]
    return parameter_importance(sweep.plan.config.space, sweep.metric, past)
