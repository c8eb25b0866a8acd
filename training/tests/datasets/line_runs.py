"""Runs on lines for tests, and what they leave."""

import json
from pathlib import Path
from typing import Any

from training.cli import main as text_recognizer
from training.run_experiment import main
from training.runs.find import find_run
from training.runs.run import Run

READER = {"filters": 6, "units": 16, "layers": 1, "dropout_amount": 0.0}


def line_spec(path: Path, **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "dataset": "LineListDataset",
        "dataset_args": {"path": str(path), "height": 20, "validation_fraction": 0.2, "test_fraction": 0.2},
        "model": "LineModelCtc",
        "network": "line_reader",
        "network_args": READER,
        "train_args": {"batch_size": 8, "epochs": 2, "learning_rate": 0.02},
    }
    return spec | changes


def run(spec: dict[str, Any], *arguments: str, code: int = 0) -> Run:
    assert main([json.dumps(spec), "--nowandb", "--gpu=none", *arguments]) == code
    return find_run("last")


def rows_of(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "predictions.jsonl").read_text().splitlines()]


def evaluated(capfd, *arguments):
    capfd.readouterr()
    assert text_recognizer(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capfd.readouterr().out.partition("{")[2].join(["{", ""]))
