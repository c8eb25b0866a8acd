"""text-recognizer sweeps: look at sweeps and steer them."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.spec import flatten
from training.runs.run import Run
from training.sweeps.file.config import Metric
from training.sweeps.folder import SweepFolder, Wish, all_sweeps, find_sweep
from training.sweeps.trials import Reports, Trial, best_value, read_trials, trial_values
from training.sweeps.wandb.registration import registered, steer
from training.terminal.tables import print_table, shown

EXAMPLES = """examples:
  text-recognizer sweeps list
  text-recognizer sweeps show sweep_digits
  text-recognizer sweeps explain sweep_digits --trial 3
  text-recognizer sweeps pause sweep_digits      (no new trials; those at work go on)
  text-recognizer sweeps export sweep_digits digits.db     then: optuna-dashboard sqlite:///digits.db
"""

_WISHES: dict[str, tuple[Wish, str]] = {
    "pause": ("pause", "start no new trials until it is resumed; those at work go on"),
    "resume": ("run", "go on after pause or stop; run_sweep must be running, or be started again"),
    "stop": ("stop", "start no new trials, let those at work finish, and end"),
    "cancel": ("cancel", "kill the trials at work, and end"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all sweeps, the newest first")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    show = actions.add_parser("show", help="a sweep and its trials, best first")
    show.add_argument("name", metavar="SWEEP")
    show.add_argument("--json", action="store_true")
    show.set_defaults(run=_show)
    explain = actions.add_parser("explain", help="why each trial was suggested, stopped or failed")
    explain.add_argument("name", metavar="SWEEP")
    explain.add_argument("--trial", type=int, metavar="N", help="only this one")
    explain.set_defaults(run=_explain)
    export = actions.add_parser("export", help="as an Optuna study, for optuna-dashboard")
    export.add_argument("name", metavar="SWEEP")
    export.add_argument("file", type=Path, metavar="FILE.db", help="an SQLite file to be made")
    export.set_defaults(run=_export)
    for action, (_, what) in _WISHES.items():
        steer = actions.add_parser(action, help=what)
        steer.add_argument("name", metavar="SWEEP")
        steer.set_defaults(run=_steer, action=action)


def _list(arguments: argparse.Namespace) -> int:
    found = [_summary(folder) for folder in all_sweeps()]
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    columns = ["name", "method", "state", "trials", "finished", "failed", "metric", "best", "created"]
    print_table(columns, [[shown(column, sweep[column]) for column in columns] for sweep in found])
    return 0


def _show(arguments: argparse.Namespace) -> int:
    folder = find_sweep(arguments.name)
    summary = _summary(folder)
    trials = _trials(folder)
    metric = _metric(folder)
    reports = Reports(metric.name)
    rows = [_trial_facts(trial, metric, reports) for trial in trials.values()]
    _keep_what_differs(rows)
    sign = -1 if metric.goal == "maximize" else 1
    rows.sort(key=lambda row: (row["value"] is None, sign * (row["value"] or 0.0), row["trial"]))
    if arguments.json:
        print(json.dumps({**summary, "trials_shown": rows}, indent=1, default=str))
        return 0
    created = datetime.fromtimestamp(summary["created"])
    print(
        f"sweep       {folder.path}   {summary['state']}"
        + (f", driven by {folder.holder()}" if folder.holder() else "")
    )
    print(f"created     {created:%Y-%m-%d %H:%M:%S} from {folder.facts()['source']}")
    print(f"search      {summary['method']}, {metric.goal} {metric.name}")
    columns = ["trial", "state", "value", "attempts", "point", "run"]
    print_table(columns, [[shown(column, row[column]) for column in columns] for row in rows])
    if (folder.path / "report.html").exists():
        print(f"report      {folder.path / 'report.html'}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    folder = find_sweep(arguments.name)
    trials = _trials(folder)
    if arguments.trial is not None and arguments.trial not in trials:
        raise SpecError(f"the sweep {folder.name} has no trial {arguments.trial}. It has 1 to {len(trials)}.")
    for number, trial in trials.items():
        if arguments.trial in (None, number):
            print(f"trial {number}: {json.dumps(trial.point, default=str)}")
            print(f"  suggested by {json.dumps(dict(trial.how), default=str)}")
            for run in trial.runs:
                if run.reused:
                    print(f"  answered by the earlier run {run.folder}")
                    continue
                failed = f", failed of {', '.join(run.failures)}" if run.failures else ""
                print(f"  run {run.id}: {_state(run.folder, run.ended)}, started {run.attempts} times{failed}")
                if run.error:
                    print(f"    {run.error}")
            for decision in trial.decisions:
                print(f"  {decision['text']}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from training.sweeps.plan import read_plan
    from training.sweeps.results.study import study_of
    from training.sweeps.search.base import PastTrial

    folder = find_sweep(arguments.name)
    given = folder.path / "sweep.yaml"
    if not given.exists():
        raise SpecError(f"the sweep {folder.name} is a list of experiments: it has no parameters to show.")
    if arguments.file.exists():
        raise SpecError(f"{arguments.file} exists already. Name a new file, or remove it.")
    plan = read_plan(given, name=folder.name, base={})  # only the parameters matter here
    assert plan.config is not None
    metric = _metric(folder)
    reports = Reports(metric.name)
    past = []
    for trial in _trials(folder).values():
        values = trial_values([reports.update(run)[0] for run in trial.runs])
        past.append(PastTrial(trial.number, trial.point, trial.state if trial.is_over else "running", values))
    study_of(plan.config.space, metric, past, f"sqlite:///{arguments.file}", folder.name)
    print(f"{len(past)} trials written. Look at them: optuna-dashboard sqlite:///{arguments.file}")
    return 0


def _steer(arguments: argparse.Namespace) -> int:
    folder = find_sweep(arguments.name)
    wish, _ = _WISHES[arguments.action]
    link, holder, state = registered(folder), folder.holder(), _sweep_state(folder)
    if wish != "run" and link is None and holder is None and state in ("finished", "cancelled"):
        raise RunError(f"the sweep {folder.name} is {state}: there is nothing to {arguments.action}.")
    folder.set_wish(wish)
    if holder is not None:
        print(f"{folder.name}: {arguments.action}, told {holder}")
    elif link is not None:
        steer(link, wish)  # agents elsewhere may serve it
        print(f"{folder.name}: {arguments.action}; nobody serves it from here now.")
    else:
        print(f"{folder.name}: {arguments.action}; nobody drives it now. Start it again with its run_sweep command.")
    return 0


def _summary(folder: SweepFolder) -> dict[str, Any]:
    facts = folder.facts()
    trials = _trials(folder)
    metric = _metric(folder)
    reports = Reports(metric.name)
    values = [
        best_value(trial_values([reports.update(run)[0] for run in trial.runs]), metric)
        for trial in trials.values()
        if trial.state == "finished"
    ]
    known = [value for value in values if value is not None]
    return {
        "name": folder.name,
        "method": facts["method"],
        "state": _sweep_state(folder),
        "trials": len(trials) if facts["size"] is None else f"{len(trials)}/{facts['size']}",
        "finished": sum(trial.state in ("finished", "stopped") for trial in trials.values()),
        "failed": sum(trial.state == "failed" for trial in trials.values()),
        "metric": metric.name,
        "best": best_value(known, metric),
        "created": facts["created"],
    }


def _sweep_state(folder: SweepFolder) -> str:
    """W&B's states for a sweep that is driven or was asked for something; else what is left of it."""
    asked = {"pause": "paused", "cancel": "cancelled"}.get(folder.wish)
    if folder.holder() is not None:
        return asked or "running"
    telling = ("over", "suggest", "start", "retry")
    latest: dict[str, Any] = next((event for event in reversed(list(folder.events())) if event["event"] in telling), {})
    if latest.get("complete") and latest["why"] != "asked to cancel":
        return "finished"
    return asked or "interrupted"


def _trials(folder: SweepFolder) -> dict[int, Trial]:
    return read_trials(folder.events(), folder.path)


def _metric(folder: SweepFolder) -> Metric:
    named = folder.facts()["metric"]
    return Metric("val_loss") if named is None else Metric(named["name"], named["goal"])


def _trial_facts(trial: Trial, metric: Metric, reports: Reports) -> dict[str, Any]:
    values = trial_values([reports.update(run)[0] for run in trial.runs])
    return {
        "trial": trial.number,
        "state": _state(trial.runs[0].folder, None) if trial.state == "pending" else trial.state,
        "value": best_value(values, metric),
        "attempts": sum(run.attempts for run in trial.runs),
        "point": trial.point,
        "run": trial.runs[0].id,
    }


def _keep_what_differs(rows: list[dict[str, Any]]) -> None:
    """Leaves of every point only the values that tell the trials apart."""
    flat = [flatten(row["point"]) for row in rows]
    differing = {key for one in flat for key in one if any(other.get(key) != one[key] for other in flat)}
    for row, point in zip(rows, flat, strict=True):
        row["point"] = {key: value for key, value in point.items() if key in differing}


def _state(run_folder: Path, ended: str | None) -> str:
    if ended is not None:
        return ended
    try:
        return Run.open(run_folder).status().state
    except RunError:
        return "pending"
