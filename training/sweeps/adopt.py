"""Adoption: runs that were started for a sweep and whose line its journal has lost count again."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec, flatten, is_met
from training.runs.contents import is_made
from training.runs.places import new_run_id
from training.runs.run import Run
from training.sweeps.file.parameter import MISSING, Parameter, Point, look_up
from training.sweeps.folder import SweepFolder
from training.sweeps.plan import SweepPlan
from training.sweeps.trials import Trial, TrialRun


def adopt_runs(plan: SweepPlan, folder: SweepFolder, trials: Mapping[int, Trial], say: Callable[[str], None]) -> bool:
    """Writes down again, by launch.json and spec.json, to which trials run folders without a line belong.

    Returns:
        whether there were any.
    """
    found: dict[int, list[_Orphan]] = {}
    known = {run.id for trial in trials.values() for run in trial.runs}
    for orphan in _orphans(plan, folder, known):
        if orphan.trial in trials:
            say(f"warning: {orphan.run.folder} says it is of trial {orphan.trial}, which has another run; left alone")
        else:
            found.setdefault(orphan.trial, []).append(orphan)
    for number, orphans in sorted(found.items()):
        _adopt(plan, folder, number, orphans)
        say(f"trial {number} is restored from {orphans[0].run.folder}: the journal has lost its line")
    return bool(found)


@dataclass(frozen=True)
class _Orphan:
    """A run folder that no line of the journal names.

    Args:
        index: of the run among those of its trial, which differ by their seeds.
    """

    run: Run
    trial: int
    point: Point
    index: int


def _orphans(plan: SweepPlan, folder: SweepFolder, known: set[str]) -> Iterator[_Orphan]:
    names = sorted(entry.name for entry in os.scandir(folder.path) if entry.is_dir() and entry.name[0] != ".")
    for name in names:
        path = folder.path / name
        if name in known or not is_made(path):
            continue
        run = Run(path)
        try:
            trial = _trial_of(run, folder.name)
            orphan = None if trial is None else _recognised(plan, run, trial)
        except (RunError, SpecError):
            continue  # damaged; `runs list` says so
        if orphan is not None:
            yield orphan


def _trial_of(run: Run, sweep: str) -> int | None:
    """Which trial of this sweep a run was started for."""
    attempts = run.attempts() if run.has("launch.json") else []
    latest: dict[str, Any] = attempts[-1] if attempts else {}
    trial = latest.get("trial")
    return trial if latest.get("sweep") == sweep and isinstance(trial, int) and trial > 0 else None


def _recognised(plan: SweepPlan, run: Run, trial: int) -> _Orphan | None:
    """The point whose spec the run has; None where the sweep has no such point."""
    spec = run.spec
    point = _point_of(plan, spec, trial)
    if plan.point_fault(point) is not None:
        return None
    theirs = flatten(spec.to_json())
    for index, wanted in enumerate(plan.specs(point)):
        ours = flatten(assemble(wanted).spec.to_json())
        shared = theirs.keys() & ours.keys()  # a later version may have added some
        if all(is_met(key, ours[key], theirs[key]) for key in shared):
            return _Orphan(run, trial, point, index)
    return None


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
    orphans.sort(key=lambda orphan: (orphan.run.status().state != "finished", orphan.run.id))
    point = orphans[0].point
    by_index = {orphan.index: orphan.run for orphan in reversed(orphans) if orphan.point == point}
    specs = plan.specs(point)
    ids = [
        by_index[index].id if index in by_index else f"{new_run_id(spec)[:21]}-t{number:04d}-s{index + 1}"
        for index, spec in enumerate(specs)
    ]
    how = {"adopted": sorted(run.id for run in by_index.values())}
    trial = Trial(number, point, how, [TrialRun(folder.path / run_id) for run_id in ids])
    folder.append("suggest", **trial.suggestion())
    for run in by_index.values():
        for _ in run.attempts():
            folder.append("start", trial=number, run=run.id)
