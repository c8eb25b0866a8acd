"""Runs and sweeps of this project against the stand-in of the W&B backend."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.run import Run
from training.tests.wandb_backend import WandbBackend
from training.tests.wandb_backend_programs import wandb

REPOSITORY = Path(__file__).resolve().parents[2]
SPEC: dict[str, Any] = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "train_args": {"epochs": 2},
    "experiment_group": "online",
}
# Long enough that something can happen to it; a checkpoint after every group of steps.
LONG: dict[str, Any] = {**SPEC, "train_args": {"epochs": 2000, "checkpoint_interval_s": 0}}


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


def runs_below(folder: Path) -> dict[str, Run]:
    """By id; those that are whole."""
    found = {}
    for status in folder.glob("runs/*/*/status.json"):
        with contextlib.suppress(Exception):
            found[status.parent.name] = Run.open(status.parent)
    return found


def wait_for(condition: Callable[[], Any], timeout_s: float = 120.0) -> Any:
    """What a condition on files says, once it is true."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError


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
    differing = ("time", "images_per_s")
    return [{name: value for name, value in row.items() if name not in differing} for row in run.rows()]


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists() and os.path.exists(f"/proc/{process}/exe")
