"""What one report to the run folder costs."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from text_recognizer.spec import ExperimentSpec
from training.benchmarks.figures import Figure, medians, seconds
from training.runs.run import Run

ROUNDS = 15
REPORTS = 5_000


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), root=Path(folder))
        plain = os.open(Path(folder) / "plain.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        logged, appended = medians(
            ROUNDS,
            lambda: _microseconds(run.log),
            lambda: _microseconds(lambda row: os.write(plain, json.dumps(row).encode() + b"\n")),
        )
        os.close(plain)
        run.release()
    return [Figure("log five numbers / json.dumps and append", logged, appended, "µs", "<= 1.5")]


def _microseconds(log: Callable[[dict[str, float]], object]) -> float:
    rows = [
        {"epoch": step, "loss": 1.5 / (step + 1), "accuracy": 0.25, "val_loss": 1.25, "learning_rate": 1e-3}
        for step in range(REPORTS)
    ]
    return seconds(lambda: [log(row) for row in rows]) / REPORTS * 1e6
