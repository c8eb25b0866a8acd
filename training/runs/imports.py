"""Imports runs of other trackers as run folders, marked as imported: listed, shown and compared like others."""

import csv
import hashlib
import json
import re
import time
from pathlib import Path

from text_recognizer.errors import RunError, reason
from text_recognizer.spec import ExperimentSpec
from training.files.json_objects import is_finite
from training.runs.causes import Cause
from training.runs.checks import is_count, is_time
from training.runs.foreign_files import ForeignRun, foreign_runs, summary_of
from training.runs.places import group_folder_name, runs_folder
from training.runs.run import Run

# Replaces the parts of a spec, which other trackers do not have: such a run cannot be repeated.
IMPORTED = "imported"
_UNIQUE = ("mlflow", "wandb")  # their ids are globally unique


def import_runs(path: Path, group: str | None = None, root: Path | None = None) -> tuple[list[Run], int]:
    """Makes a run folder of each run in or below a path; runs imported before are skipped.

    Args:
        group: the experiment group; by default from the path's name.
    Returns:
        the new runs, and the number of existing ones.
    Raises:
        RunError: there are none, a file cannot be read, or a folder cannot be written.
    """
    try:
        found = [run for run in foreign_runs(path) if run.rows or run.params]
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {reason(error, path)}.") from None
    if not found:
        raise RunError(
            f"there are no runs in {path}. Name a folder mlruns of MLflow, a folder wandb with offline runs, a folder "
            f"with event files of TensorBoard, or a CSV file with one column per metric."
        )
    made, known = [], 0
    for one in found:
        run = _import(one, group or path.resolve().stem, root)
        if run is None:
            known += 1
        else:
            made.append(run)
    return made, known


def _import(found: ForeignRun, group: str, root: Path | None) -> Run | None:
    settings = {  # as plain JSON, with dotted names unchanged
        name: value
        if value is None or isinstance(value, str | bool) or is_finite(value)
        else json.dumps(value, default=str)
        for name, value in found.params.items()
    }
    spec = ExperimentSpec(IMPORTED, IMPORTED, IMPORTED, train_args=settings, experiment_group=group)
    name = f"{found.kind}-{re.sub(r'[^A-Za-z0-9_.=-]+', '-', found.id).strip('-.')[-100:]}"
    place = (root or runs_folder()) / group_folder_name(group)
    about = {"kind": found.kind, "from": str(found.source.resolve()), "id": found.id}
    if (place / name).exists() and not _is_of(place / name, about):  # another run with the same folder name
        name += f"-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]}"
    if (place / name).exists():
        return None
    run = Run.create(spec, name, root)
    run.write_json("launch.json", {"attempts": [], "imported": {**about, "name": found.name}})
    for step, row in sorted(found.rows.items()):
        epoch = row.pop("epoch", None)
        run.log({"epoch": epoch if is_count(epoch) else step, "step": step, **row})
    times = {name: moment for name, moment in found.times.items() if is_time(moment)}
    cause = {"stopped": Cause.INTERRUPTED, "failed": Cause.CRASHED}.get(found.state)
    run.note(
        state=found.state,
        times={"created": time.time(), **times},
        error=f"imported from {found.source.name}" if cause else None,
        cause=cause,
        summary=dict(summary_of(found)),
        epoch=len(found.rows),
        epochs=len(found.rows),
    )
    run.release()
    return run


def _is_of(folder: Path, about: dict[str, str]) -> bool:
    """Whether a run was imported from this one; assumed if it cannot be read."""
    try:
        known = Run(folder).read_json("launch.json").get("imported")
    except RunError:
        return True
    parts = ("id",) if about["kind"] in _UNIQUE else ("id", "from")
    return not isinstance(known, dict) or all(known.get(part, about[part]) == about[part] for part in parts)
