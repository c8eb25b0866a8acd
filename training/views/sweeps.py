"""Sweeps and their trials, and the control of sweeps."""

import json
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError
from text_recognizer.spec import flatten
from training.runs.run_table import read_row
from training.sweeps.folder import SweepFolder, Wish
from training.sweeps.history import History
from training.sweeps.plan import COPIED
from training.sweeps.table import sweep_state
from training.sweeps.trials import Trial
from training.sweeps.wandb.registration import registered, steer

WISHES: dict[str, tuple[Wish, str]] = {
    "pause": ("pause", "start no new trials until it is resumed; running ones continue"),
    "resume": ("run", "continue after pause or stop; run_sweep must be running, or be started again"),
    "stop": ("stop", "start no new trials, let running ones finish, and end"),
    "cancel": ("cancel", "kill the running trials, and end"),
}


def trial_rows(history: History) -> list[dict[str, Any]]:
    """The trials of a sweep, best first, each with its distinguishing values."""
    trials = sorted(history.trials.values(), key=history.by_value)
    points = [flatten({key: trial.point[key] for key in trial.point.keys() - {COPIED}}) for trial in trials]
    spelt = [{key: json.dumps(value) for key, value in one.items()} for one in points]
    differing = {key for key in set().union(*spelt) if len({one.get(key) for one in spelt}) > 1}
    return [
        {
            "trial": trial.number,
            "state": run_state(trial.runs[0].folder, None) if trial.state == "pending" else trial.state,
            "value": history.value(trial),
            "attempts": sum(run.attempts for run in trial.runs),
            "point": {key: value for key, value in point.items() if key in differing},
            **({"copy of": trial.copy_of} if any(one.lineage for one in trials) else {}),
            "run": trial.runs[0].id,
        }
        for trial, point in zip(trials, points, strict=True)
    ]


def explained(trial: Trial) -> dict[str, Any]:
    """Why a trial was suggested, and how its runs ended."""
    runs = [
        {
            "id": run.id,
            "folder": str(run.folder),
            "state": run_state(run.folder, run.ended),
            **{name: getattr(run, name) for name in ("reused", "attempts", "failures", "cause", "error")},
        }
        for run in trial.runs
    ]
    decisions = [{key: value for key, value in one.items() if key != "event"} for one in trial.decisions]
    return {
        "trial": trial.number,
        "point": trial.point,
        "how": dict(trial.how),
        "state": trial.state,
        "runs": runs,
        "decisions": decisions,
    }


def run_state(run_folder: Path, ended: str | None) -> str:
    row = read_row(run_folder) if ended is None else None
    return ended or (row.state if row is not None else "pending")


def driver_of(folder: SweepFolder) -> str | None:
    """The driver of a sweep, on this host or on another one of a cluster."""
    from training.executors.cluster.mailbox import driver_elsewhere

    return folder.holder() or driver_elsewhere(folder.path / "agents")


def steered(folder: SweepFolder, action: str) -> str:
    """Asks a sweep to pause, resume, stop or cancel; returns a message. Raises RunError: it is over, or damaged."""
    wish, _ = WISHES[action]
    folder.facts()  # raises if the sweep is damaged
    link, holder, state = registered(folder), driver_of(folder), sweep_state(folder, folder.events())
    if wish != "run" and link is None and holder is None and state in ("finished", "cancelled"):
        raise RunError(f"the sweep {folder.name} is {state}: there is nothing to {action}.")
    folder.set_wish(wish)
    if holder is not None:
        return f"{folder.name}: {action}, sent to {holder}"
    if link is not None:
        steer(link, wish)  # agents elsewhere may serve it
        return f"{folder.name}: {action}; it is not served from here now."
    return f"{folder.name}: {action}; it is not running. Start it again with its run_sweep command."
