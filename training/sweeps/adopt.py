"""Adoption: runs that were started for a sweep and whose line its journal has lost count again."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec, flatten, is_met
from training.runs.contents import is_made
from training.runs.places import new_run_id
from training.runs.run import Run
from training.sweeps.file.parameter import MISSING, Parameter, Point, look_up
from training.sweeps.folder import SweepFolder
from training.sweeps.plan import COPIED, COPIED_KEYS, SweepPlan
from training.sweeps.trials import Trial, TrialRun

# A run that no line of the journal names: its point, and its place among the runs of that, which differ by seeds.
_Orphan = tuple[Run, Point, int]


def adopt_runs(plan: SweepPlan, folder: SweepFolder, trials: Mapping[int, Trial], say: Callable[[str], None]) -> bool:
    """Writes down again, by launch.json and spec.json, to which trials runs without a line belong; whether any did."""
    found: dict[int, list[_Orphan]] = {}
    known = {run.id for trial in trials.values() for run in trial.runs}
    for name in sorted(entry.name for entry in os.scandir(folder.path) if entry.is_dir() and entry.name[0] != "."):
        run = Run(folder.path / name)
        if name in known or not is_made(run.folder):
            continue
        try:
            number, orphan = _recognised(plan, folder.name, run)
        except (RunError, SpecError):
            continue  # damaged; `runs list` says so
        if orphan is not None and number in trials:
            say(f"warning: {run.folder} says it is of trial {number}, which has another run; left alone")
        elif orphan is not None:
            found.setdefault(number, []).append(orphan)
    for number, orphans in sorted(found.items()):
        _adopt(plan, folder, number, orphans)
        say(f"trial {number} is restored from {orphans[0][0].folder}: the journal has lost its line")
    return bool(found)


def _recognised(plan: SweepPlan, sweep: str, run: Run) -> tuple[int, _Orphan | None]:
    """The trial that a run was started for, with the point whose spec it has; None for a run of no such point."""
    attempts = run.attempts() if run.has("launch.json") else []
    latest: dict[str, Any] = attempts[-1] if attempts else {}
    number = latest.get("trial")
    if latest.get("sweep") != sweep or not isinstance(number, int) or number <= 0:
        return 0, None
    spec = run.spec
    point = _point_of(plan, spec, number)
    if Path(str(spec.train_args.get("initial_weights"))).is_relative_to(run.folder.parent.resolve()):
        point[COPIED] = {key: look_up(spec.to_json(), key.split(".")) for key in COPIED_KEYS}  # of another trial
    if plan.point_fault(point) is None:
        theirs = flatten(spec.to_json())
        for index, wanted in enumerate(plan.specs(point)):
            ours = flatten(assemble(wanted).spec.to_json())
            # Of the keys that both have: a later version may have added some.
            if all(is_met(key, ours[key], theirs[key]) for key in theirs.keys() & ours.keys()):
                return number, (run, point, index)
    return number, None


def _point_of(plan: SweepPlan, spec: ExperimentSpec, trial: int) -> Point:
    if plan.config is None:
        return {"experiment": trial - 1}
    values = spec.to_json()

    def value_of(parameter: Parameter) -> Any:
        found = look_up(values, parameter.name.split("."))
        # What a condition leaves out of the spec: the middle of its range, which no run sees.
        return parameter.value_at(0.5) if found is MISSING else found

    return plan.config.space.point(value_of)


def _adopt(plan: SweepPlan, folder: SweepFolder, number: int, orphans: list[_Orphan]) -> None:
    """One suggestion with the runs that are there; those that are not get folders when their turn comes."""
    orphans.sort(key=lambda orphan: (orphan[0].status().state != "finished", orphan[0].id))
    point = orphans[0][1]
    by_index = {index: run for run, its_point, index in reversed(orphans) if its_point == point}
    ids = [
        by_index[index].id if index in by_index else f"{new_run_id(spec)[:21]}-t{number:04d}-s{index + 1}"
        for index, spec in enumerate(plan.specs(point))
    ]
    how = {"adopted": sorted(run.id for run in by_index.values())}
    trial = Trial(number, point, how, [TrialRun(folder.path / run_id) for run_id in ids])
    folder.append("suggest", **trial.suggestion())
    for run in by_index.values():
        for _ in run.attempts():
            folder.append("start", trial=number, run=run.id)
