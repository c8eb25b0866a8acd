"""text-recognizer sweeps: shows and controls sweeps."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from text_recognizer.errors import RunError, SpecError
from text_recognizer.wording import counted
from training.commands.base import Command, other_runs
from training.sweeps.folder import find_sweep
from training.sweeps.history import History
from training.sweeps.table import COLUMNS, read_sweep, read_sweeps
from training.terminal.tables import print_table, shown
from training.views.sweeps import WISHES, driver_of, explained, run_state, steered, trial_rows

EXAMPLES = """examples:
  text-recognizer sweeps list
  TEXT_RECOGNIZER_RUNS=/other/disk/runs text-recognizer sweeps list
  text-recognizer sweeps show sweep_digits
  text-recognizer sweeps explain sweep_digits --trial 3
  text-recognizer sweeps pause sweep_digits      (no new trials; running ones continue)
  text-recognizer sweeps export sweep_digits digits.db     then: optuna-dashboard sqlite:///digits.db
"""


class Sweeps(Command):
    """Look at sweeps and control them: list, show, explain, pause, resume, stop, cancel, export."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(metavar="ACTION", required=True)

        def add(action: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:  # noqa: A002
            added = actions.add_parser(action, help=help)
            if run is not _list:
                added.add_argument("name", metavar="SWEEP")
            if run in (_list, _show, _explain):
                added.add_argument("--json", action="store_true")
            added.set_defaults(run=run, action=action)
            return added

        add("list", _list, "all sweeps, the newest first").set_defaults(hint_if_surplus=other_runs)
        add("show", _show, "a sweep and its trials, best first")
        explain = add("explain", _explain, "why each trial was suggested, stopped or failed")
        explain.add_argument("--trial", type=int, metavar="N", help="only this trial")
        export = add("export", _export, "as an Optuna study, for optuna-dashboard")
        export.add_argument("file", type=Path, metavar="FILE.db", help="the SQLite file to write")
        for action, (_, what) in WISHES.items():
            add(action, _steer, what)


def _list(arguments: argparse.Namespace) -> int:
    found = read_sweeps()
    if arguments.json:
        print(json.dumps([sweep.to_json() for sweep in found], indent=1))
        return 0
    columns = [*COLUMNS, *(["damage"] if any(sweep.damage for sweep in found) else [])]
    print_table(columns, [[shown(column, getattr(sweep, column)) for column in columns] for sweep in found])
    return 0


def _show(arguments: argparse.Namespace) -> int:
    folder = find_sweep(arguments.name)
    facts = folder.facts()
    summary = read_sweep(folder)
    if summary.state == "damaged":
        raise RunError(str(summary.damage))
    history = History(facts.metric, folder.trials())
    metric, rows = history.metric, trial_rows(history)
    if arguments.json:
        print(json.dumps({**summary.to_json(), "trials_shown": rows}, indent=1, default=str))
        return 0
    holder = driver_of(folder)
    state = "running" if holder and summary.state == "interrupted" else summary.state
    print(f"sweep       {folder.path}   {state}" + (f", driven by {holder}" if holder else ""))
    print(f"created     {shown('created', facts.created)} from {facts.source}")
    print(f"search      {facts.search or facts.method}, {metric.goal} {metric.name}")
    if summary.damage:
        print(f"damage      {summary.damage}")
    columns = list(rows[0]) if rows else ["trial", "state", "value", "attempts", "point", "run"]
    print_table(columns, [[shown(column, row[column]) for column in columns] for row in rows])
    if (folder.path / "report.html").exists():
        print(f"report      {folder.path / 'report.html'}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    folder = find_sweep(arguments.name)
    trials = folder.trials()
    if arguments.trial is not None and arguments.trial not in trials:
        known = f"trials {min(trials)} to {max(trials)}" if trials else "none"
        raise SpecError(f"the sweep {folder.name} has no trial {arguments.trial}. It has {known}.")
    chosen = {number: trial for number, trial in trials.items() if arguments.trial in (None, number)}
    if arguments.json:
        print(json.dumps([explained(trial) for trial in chosen.values()], indent=1, default=str))
        return 0
    for number, trial in chosen.items():
        print(f"trial {number}: {json.dumps(trial.point, default=str)}")
        print(f"  suggested by {json.dumps(dict(trial.how), default=str)}")
        for run in trial.runs:
            if run.reused:
                print(f"  answered by the earlier run {run.folder}")
                continue
            failed = f", failures: {', '.join(run.failures)}" if run.failures else ""
            print(f"  run {run.id}: {run_state(run.folder, run.ended)}, {counted(run.attempts, 'attempt')}{failed}")
            if run.error:
                print(f"    {run.error}")
        for decision in trial.decisions:
            print(f"  {decision['text']}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from training.sweeps.plan_file import read_plan
    from training.sweeps.results.study import study_of

    folder = find_sweep(arguments.name)
    given = folder.path / "sweep.yaml"
    if not given.exists():
        raise SpecError(f"the sweep {folder.name} is a list of experiments: it has no parameters to show.")
    if not given.is_file():
        raise RunError(f"{given} is not a file.")
    if arguments.file.exists():
        raise SpecError(f"{arguments.file} exists already. Name a new file, or remove it.")
    plan = read_plan(given, name=folder.name, base={})  # only the parameters matter here
    assert plan.config is not None
    history = History(folder.facts().metric, folder.trials())
    past = [history.past(trial) for trial in history.trials.values()]
    with open(arguments.file, "x"):  # gives the system's error message, not the database's
        pass
    study_of(plan.config.space, history.metric, past, f"sqlite:///{arguments.file}", folder.name)
    print(f"{len(past)} trials written. Look at them: optuna-dashboard sqlite:///{arguments.file}")
    return 0


def _steer(arguments: argparse.Namespace) -> int:
    print(steered(find_sweep(arguments.name), arguments.action))
    return 0
