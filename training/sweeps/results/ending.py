"""What a sweep leaves behind: leaderboard, best spec, report, and the lines a person reads last."""

import sys

from training.sweeps.folder import SweepFolder
from training.sweeps.history import History
from training.sweeps.limits import SweepResult
from training.sweeps.plan import SweepPlan
from training.sweeps.results.leaderboard import rows, write_leaderboard
from training.sweeps.results.report import write_report
from training.sweeps.results.study import parameter_importance
from training.terminal.tables import print_table, shown

SHOWN = 10


def finish_sweep(plan: SweepPlan, folder: SweepFolder, history: History, result: SweepResult) -> int:
    """Writes what is derived from the sweep and prints its summary; the exit code."""
    write_leaderboard(plan, folder, history)
    importance = importance_of(plan, history)
    report = write_report(plan, folder, history, importance) if history.trials else None
    counts = history.counts()
    states = ("finished", "stopped", "failed", "pending")
    listed = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
    print(f"ended       {result.ended} ({listed or 'nothing was started'})")
    for problem in plan.left_out:
        print(f"left out    {problem}")
    columns, cells = rows(plan, history, history.ranked()[:SHOWN])
    if cells:
        print_table(columns, [list(map(shown, columns, line)) for line in cells])
    if importance:
        print("importance  " + ", ".join(f"{name} {share:.2f}" for name, share in importance.items()))
    best = history.best()
    if best is not None:
        print(f"best        trial {best.number}: run_experiment {folder.path / 'best_spec.json'}")
    if report is not None:
        print(f"report      {report}")
    if not result.complete:
        print(f"go on with  the same command, or: text-recognizer sweeps show {folder.name}")
    if result.failed:
        print(f"error: {result.ended}", file=sys.stderr)
    return result.exit_code


def importance_of(plan: SweepPlan, history: History) -> dict[str, float]:
    """How much each swept parameter matters, as far as the trials tell."""
    if plan.config is None:
        return {}
    past = [history.past(trial) for trial in history.trials.values()]
    return parameter_importance(plan.config.space, history.metric, past)
