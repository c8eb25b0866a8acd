"""The end of a sweep: leaderboard, best spec, self-contained report.html, and last lines of output."""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from evaluation.charts import bar_chart, line_chart, parallel_coordinates
from evaluation.pages import render
from evaluation.predictions import prediction_fault
from evaluation.report import worst_predictions
from text_recognizer.errors import RunError, TextRecognizerError
from text_recognizer.experiment import assemble
from text_recognizer.wording import counted, shell_word
from training.files.journals import read_journal
from training.files.json_objects import is_finite
from training.runs.run import Run
from training.sweeps.folder import SweepFolder
from training.sweeps.history import STATES, History
from training.sweeps.limits import SweepEnd
from training.sweeps.plan import SweepPlan
from training.sweeps.results.leaderboard import best_spec, rows, write_leaderboard
from training.sweeps.results.study import parameter_importance
from training.sweeps.trials import Trial
from training.terminal.tables import print_table, shown

SHOWN = 10  # trials in the terminal
CURVES, LISTED = 8, 200  # in the report


def finish_sweep(
    plan: SweepPlan, folder: SweepFolder, history: History, result: SweepEnd, takes_retries: bool = True
) -> int:
    """Writes the derived files of the sweep and prints its summary; returns the exit code.

    Args:
        takes_retries: whether --retry-failed can be given.
    """
    write_leaderboard(plan, folder, history)
    importance = importance_of(plan, history)
    report = write_report(plan, folder, history, importance) if history.trials else None
    counts = history.counts()
    listed = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
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
        print(f"best        trial {best.number}: run_experiment {shell_word(folder.path / 'best_spec.json')}")
    if report is not None:
        print(f"report      {report}")
    if not result.complete:
        look = f"text-recognizer sweeps show {shell_word(folder.name)}"
        print(f"next        {result.next}; to look at it: {look}")
    if counts["failed"] and takes_retries:
        print(f"failed      {counted(counts['failed'], 'trial')}; with --retry-failed the same command runs them again")
    if result.failed:
        print(f"error: {result.ended}", file=sys.stderr)
    return result.exit_code


def importance_of(plan: SweepPlan, history: History) -> dict[str, float]:
    """The importance of each swept parameter, if known from the trials."""
    if plan.config is None:
        return {}
    past = [history.past(trial) for trial in history.trials.values()]
    return parameter_importance(plan.config.space, history.metric, past)


def write_report(plan: SweepPlan, folder: SweepFolder, history: History, importance: Mapping[str, float]) -> Path:
    """Writes report.html into the sweep's folder."""
    trials = history.ranked()
    columns, cells = rows(plan, history, trials[:LISTED])
    best, counts = history.best(), history.counts()
    shown = best and {"number": best.number, "value": history.value(best), "swept": plan.swept(best.point)}
    page = render(
        "sweep_report.html",
        name=folder.name,
        summary=plan.in_words(),
        counts={state: counts[state] for state in STATES},
        best=shown,
        best_spec=best_spec(plan, history),
        metric=history.metric.name,
        columns=columns,
        cells=cells,
        more=max(0, len(trials) - LISTED),
        charts=_charts(plan, history, trials, importance),
        worst=_best_predictions(best),
        decisions=[decision for trial in trials for decision in trial.decisions if decision["stop"]],
    )
    folder.write_text("report.html", page)
    return folder.path / "report.html"


def _charts(
    plan: SweepPlan, history: History, trials: Sequence[Trial], importance: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Titles and SVG images; empty ones are left out."""
    valued = [trial for trial in trials if history.value(trial) is not None and trial.state in ("finished", "stopped")]
    swept = [{**plan.swept(trial.point), history.metric.name: history.value(trial)} for trial in valued]
    labels = [f"trial {trial.number}: {json.dumps(row, default=str)}" for trial, row in zip(valued, swept, strict=True)]
    curves = {
        f"trial {trial.number}": [
            (float(row["epoch"]), float(row[history.metric.name]))
            for row in history.reports.rows(trial.runs[0])
            if is_finite(row.get("epoch")) and is_finite(row.get(history.metric.name))
        ]
        for trial in valued[:CURVES]
    }
    so_far = {"best": _best_by_time(history, valued), "each trial": []}
    drawn = [
        ("Parallel coordinates", parallel_coordinates(swept, history.metric.name, history.metric.goal, labels)),
        ("Best so far", line_chart(so_far, "minutes", "best so far")),
        ("Importance", bar_chart(importance, "share of the metric's variation")),
        (f"Curves of the best {len(curves)}", line_chart(curves, "epoch", history.metric.name)),
    ]
    return [(title, image) for title, image in drawn if image]


def _best_by_time(history: History, trials: Sequence[Trial]) -> list[tuple[float, float]]:
    """(minutes, best value so far) for each trial that ended, from the first end on."""
    ended = []
    for trial in trials:
        try:
            times = Run.open(trial.runs[0].folder).status().times
        except RunError:  # the folder is gone
            continue
        value = history.value(trial)
        if not trial.runs[0].reused and "ended" in times and value is not None:
            ended.append((times["ended"], value))
    ended.sort()
    better = max if history.metric.goal == "maximize" else min
    best = accumulate((value for _, value in ended), better)
    return [((moment - ended[0][0]) / 60, value) for (moment, _), value in zip(ended, best, strict=True)]


def _best_predictions(best: Trial | None) -> list[dict[str, Any]]:
    if best is None:
        return []
    folder = best.runs[0].folder
    try:
        predictions = read_journal(folder / "predictions.jsonl", prediction_fault)
        if not predictions:
            return []
        split = assemble(Run.open(folder).spec, has_begun=True).dataset.split("test")
    except TextRecognizerError:  # removed or damaged: the report is written without
        return []
    return worst_predictions([row for row in predictions if row["position"] < len(split)], split, most=24)
