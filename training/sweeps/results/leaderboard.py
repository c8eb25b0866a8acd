"""The leaderboard of a sweep: its trials as a table, best first, and the best trial's spec."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from text_recognizer.errors import RunError
from training.files.json_objects import is_finite
from training.runs.run import Run
from training.sweeps.folder import SweepFolder
from training.sweeps.history import History
from training.sweeps.plan import SweepPlan
from training.sweeps.trials import Trial


def rows(plan: SweepPlan, history: History, trials: Sequence[Trial]) -> tuple[list[str], list[list[Any]]]:
    """Columns and cells: trial, state, value, test metrics of finished runs, swept parameters, run."""
    swept = list(dict.fromkeys(name for trial in trials for name in plan.swept(trial.point)))
    tested = list(dict.fromkeys(name for trial in trials for name in _test_metrics(trial)))
    has_copies = any(trial.lineage for trial in trials)
    cells = []
    for trial in trials:
        run, results, point = trial.runs[0], _test_metrics(trial), plan.swept(trial.point)
        values = [trial.number, trial.state, history.value(trial), *map(results.get, tested), *map(point.get, swept)]
        copied = [trial.copy_of] if has_copies else []
        cells.append([*values, *copied, str(run.folder) if run.reused else run.id])
    further = ["copy of", "run"] if has_copies else ["run"]
    return ["trial", "state", history.metric.name, *tested, *swept, *further], cells


def write_leaderboard(plan: SweepPlan, folder: SweepFolder, history: History) -> None:
    """Writes leaderboard.csv, and best_spec.json for run_experiment."""
    columns, cells = rows(plan, history, history.ranked())
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for line in cells:
        writer.writerow(map(cell_text, line))
    folder.write_text("leaderboard.csv", text.getvalue())
    spec = best_spec(plan, history)
    if spec is not None:
        folder.write_text("best_spec.json", json.dumps(spec, indent=2, ensure_ascii=False) + "\n")


def cell_value(text: str) -> Any:
    """The value of a cell of leaderboard.csv; None if it is empty."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def cell_text(value: Any) -> str:
    """JSON; a text as it is unless it could be taken for JSON, like "10" or the empty one."""
    if value is None:
        return ""
    return value if isinstance(value, str) and cell_value(value) == value else json.dumps(value)


def best_spec(plan: SweepPlan, history: History) -> dict[str, Any] | None:
    """The spec of the best trial's first run; None if there is none."""
    best = history.best()
    if best is None:
        return None
    try:
        return Run(best.runs[0].folder).read_json("spec.json")
    except RunError:  # its folder is missing
        return plan.specs(best.point)[0].to_json()


def _test_metrics(trial: Trial) -> dict[str, float]:
    """Means over the seeds of a finished trial; without the loss if there are rates."""
    if trial.state != "finished":
        return {}
    try:
        summaries = [Run.open(run.folder).status().summary for run in trial.runs]
    except RunError:  # the folder is gone; the journal still has the trial
        return {}
    names = [name for name in summaries[0] if name.startswith("test_") and name != "test_loss"][:1]
    common = [name for name in names if all(is_finite(summary.get(name)) for summary in summaries)]
    return {name: sum(summary[name] for summary in summaries) / len(summaries) for name in common}
