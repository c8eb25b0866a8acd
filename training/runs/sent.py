"""How much of a run W&B has: recorded in the run folder when a mirror was online until the end."""

import time
from pathlib import Path
from typing import Any, Literal

from text_recognizer.errors import RunError
from training.files.journals import examine
from training.files.json_objects import read_object_if_any
from training.runs.checks import report_fault
from training.runs.run import Run

SENT_FILE = "synced.json"


def note_sent(run: Run, facts: dict[str, Any]) -> None:
    """Records where W&B has the run's current state (project, entity, url); keeps `wandb sync` from resending it."""
    folder = run.folder / "wandb"
    note = {**facts, "state": run.status().state, "reports": len(run.rows()), "time": round(time.time(), 3)}
    run.write_json(f"wandb/{SENT_FILE}", note)
    for log in folder.glob("*run-*/run-*.wandb"):
        log.with_name(f"{log.name}.synced").touch()


def read_sent(run_folder: Path) -> dict[str, Any]:
    """What `note_sent` recorded; empty if nothing was sent."""
    return read_object_if_any(run_folder / "wandb" / SENT_FILE)


def synced(run_folder: Path, state: str) -> Literal["yes", "partly", "no"]:
    """Whether W&B has all of the run's current state, an earlier part of it, or nothing."""
    try:
        names = [path.name for path in (run_folder / "wandb").iterdir()]  # one listing: thousands may be checked
    except OSError:
        return "no"
    sent = read_sent(run_folder) if SENT_FILE in names else {}
    if not sent:  # `wandb sync` may have sent the newest offline files
        offline = any(name.startswith("offline-run-") for name in names)
        logs = sorted((run_folder / "wandb").glob("offline-run-*/run-*.wandb")) if offline else []
        return "yes" if logs and logs[-1].with_name(f"{logs[-1].name}.synced").exists() else "no"
    try:
        reports = len(examine(run_folder / "metrics.jsonl", report_fault).rows)
    except RunError:
        return "partly"
    return "yes" if (sent.get("state"), sent.get("reports")) == (state, reports) else "partly"
