"""How long ten thousand run folders take to list."""

import json
import tempfile
from pathlib import Path

from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.figures import Figure, medians, python, seconds

RUNS = 10_000
ROUNDS = 3

PLAIN = """
import glob, sys
for path in glob.glob(sys.argv[1] + "/*/*/status.json"):
    open(path, "rb").read()
    open(path[:-11] + "spec.json", "rb").read()
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        _make_runs(Path(folder))
        environ = {"TEXT_RECOGNIZER_RUNS": folder}
        listing = ["-m", "training.cli", "runs", "list", "--sort=-test_accuracy", "--limit=20"]
        ours, plain = medians(
            ROUNDS,
            lambda: seconds(lambda: python(listing, environ)),
            lambda: seconds(lambda: python(["-c", PLAIN, folder])),
        )
    return [
        Figure(f"list {RUNS:,} runs / one second", ours, 1.0, "s", "<= 1.5"),
        Figure(f"list {RUNS:,} runs / only reading their files", ours, plain, "s", "<= 5.0"),
    ]


def _make_runs(root: Path) -> None:
    spec = assemble(ExperimentSpec("DigitsDataset", "CharacterModel", "lenet")).spec.to_json()
    for index in range(RUNS):
        folder = root / f"group-{index % 20}" / f"20260101-{index:06d}-aaaaa-lenet"
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps({**spec, "seed": index}, indent=2), encoding="utf-8")
        status = {
            "format": 1,
            "state": "finished",
            "times": {"created": 1e9 + index, "started": 1e9 + index, "ended": 1e9 + index + 5},
            "error": None,
            "summary": {"val_loss": 0.1, "val_accuracy": 0.9, "test_loss": 0.1, "test_accuracy": (index % 997) / 997},
            "epoch": 10,
            "epochs": 10,
        }
        (folder / "status.json").write_text(json.dumps(status, indent=2), encoding="utf-8")
