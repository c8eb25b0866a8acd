"""Runs and sweeps of this project against the stand-in of the W&B backend."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from text_recognizer.tests.waiting import wait_until
from training.runs.run import Run
from training.tests.wandb.wandb_backend import WandbBackend
from training.tests.wandb.wandb_backend_programs import wandb
from training.tests.warm_commands import Warm
from training.tracking.mirror import read_state

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC: dict[str, Any] = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "train_args": {"epochs": 2},
    "experiment_group": "online",
}
# What W&B must answer before a run can begin.
TO_BEGIN = {"Viewer", "RunResumeStatus", "UpsertBucket", "OrganizationCoreWeaveOrganizationID", "ServerFeaturesQuery"}


def environ(backend: WandbBackend) -> dict[str, str]:
    """Beside the backend's own: where runs go, and where the code is."""
    for name in ("training", "text_recognizer"):
        if not (backend.folder / name).exists():
            (backend.folder / name).symlink_to(REPOSITORY / name)
    return {
        "TEXT_RECOGNIZER_RUNS": str(backend.folder / "runs"),
        "PYTHONPATH": str(REPOSITORY),
        "CUDA_VISIBLE_DEVICES": "-1",
        "COLUMNS": "200",
    }


def warm_path(warm: Warm) -> dict[str, str]:
    """For the environment of an agent whose runs are to be forks of the warm process."""
    return {"PATH": os.pathsep.join([str(warm.programs), str(Path(sys.executable).parent), os.environ["PATH"]])}


def runs_below(folder: Path) -> dict[str, Run]:
    """By id; those that are whole."""
    found = {}
    for status in folder.glob("runs/*/*/status.json"):
        with contextlib.suppress(Exception):
            found[status.parent.name] = Run.open(status.parent)
    return found


def wait_for_mirrors(runs: Path) -> None:
    """Returns when what mirrors write for these runs is whole: a run that ends waits only a little for its own."""
    folders = [status.parent for status in runs.glob("*/*/status.json")]
    wait_until(lambda: all(read_state(folder / "wandb").get("state") in ("done", "failed") for folder in folders))


def register(backend: WandbBackend, text: str) -> str:
    """Registers a sweep by W&B's command; its path."""
    (backend.folder / "registered.yaml").write_text(text)
    output = wandb(backend, "sweep", "registered.yaml")
    return output.split("Run sweep agent with: wandb agent ")[1].split()[0]


def without_empty_mappings(value: Any) -> Any:
    """As W&B sends a configuration."""
    if not isinstance(value, dict):
        return value
    return {name: without_empty_mappings(item) for name, item in value.items() if item != {}}


def plain_rows(run: Run) -> list[dict[str, Any]]:
    """What a run reported, without what differs from time to time."""
    differing = ("time", "images_per_s", "input_wait")
    return [{name: value for name, value in row.items() if name not in differing} for row in run.rows()]
