"""What is waited for: commands, the start of a trial, a report, a list of runs."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.harness import Figure, medians, own_folder, python, seconds
from training.runs.run import Run

MISTYPED = '{"dataset": "EmnistDataset", "model": "CharacterModel", "network": "mlp", "network_args": {"layers": 3}}'
REPORTS, RUNS = 5_000, 10_000
STARTS, BUDGET_MS = 100, 30.0
# Its first line in a run says what time it is, and that is all the run does.
CLOCK = """
import os, time
from text_recognizer.networks import Network

class Clock(Network):
    def __init__(self):
        if "TRIAL_START_CLOCK" in os.environ:
            print(time.monotonic(), flush=True)
            os._exit(0)

    def build(self, input_shape, output_shape):
        raise AssertionError("the process has ended by now")
"""


def start_up() -> list[Figure]:
    """Help and a mistyped spec, against importing TensorFlow."""
    shown, refused, imported = medians(
        7,
        lambda: seconds(lambda: python("-m", "training.run_experiment", "--help")),
        lambda: seconds(lambda: python("-m", "training.run_experiment", MISTYPED, exit_code=2)),
        lambda: seconds(lambda: python("-c", "import tensorflow")),
    )
    return [
        Figure("run_experiment --help / import tensorflow", shown, imported, "s", "<= 0.1"),
        Figure("mistyped spec refused / import tensorflow", refused, imported, "s", "<= 0.1"),
    ]


def trial_start() -> list[Figure]:
    """From submit to the first line of a run's own code, in a warm pool, against a budget."""
    from training.devices.requests import DeviceRequest
    from training.executors.local import LocalExecutor
    from training.executors.zygote.preloading import users_modules

    spec = ExperimentSpec("DigitsDataset", "CharacterModel", "trial_start_clock:Clock")
    to_code_ms, to_end_ms = [], []
    with own_folder() as folder:
        (folder / "trial_start_clock.py").write_text(CLOCK)
        sys.path.insert(0, str(folder))
        os.environ["TRIAL_START_CLOCK"] = "1"
        with LocalExecutor(1, DeviceRequest(0), preload=users_modules([spec])) as executor:
            executor.wait_until_ready()
            for _ in range(STARTS):
                run = Run.create(spec)
                submitted = time.monotonic()
                executor.submit(run).wait()
                to_end_ms.append((time.monotonic() - submitted) * 1000)
                said = float((run.folder / "log.txt").read_text().split()[-1])
                to_code_ms.append((said - submitted) * 1000)
    median_ms, slow_ms = statistics.median(to_code_ms), statistics.quantiles(to_code_ms, n=20)[-1]
    return [
        Figure("submit to first line of the run's code / budget", median_ms, BUDGET_MS, "ms"),
        Figure("the same, 95 of 100 / budget", slow_ms, BUDGET_MS, "ms", "<= 2"),
        Figure("submit to reported end / budget", statistics.median(to_end_ms), 2 * BUDGET_MS, "ms"),
    ]


def logging_cost() -> list[Figure]:
    """One report of five numbers, against json.dumps and an unbuffered append."""
    rows = [
        {"epoch": step, "loss": 1.5 / (step + 1), "accuracy": 0.25, "val_loss": 1.25, "learning_rate": 1e-3}
        for step in range(REPORTS)
    ]

    def microseconds(log: Callable[[dict[str, float]], object]) -> float:
        return seconds(lambda: [log(row) for row in rows]) / REPORTS * 1e6

    with own_folder() as folder, open(folder / "plain.jsonl", "ab", buffering=0) as plain:
        run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"))
        logged, appended = medians(
            15,
            lambda: microseconds(run.log),
            lambda: microseconds(lambda row: plain.write(json.dumps(row).encode() + b"\n")),
        )
        run.release()
    return [Figure("log five numbers / json.dumps and append", logged, appended, "µs", "<= 1.5")]


def run_list() -> list[Figure]:
    """Listing ten thousand run folders, against a budget."""
    with own_folder() as folder:
        _make_runs(folder / "runs")
        listing = ("-m", "training.cli", "runs", "list", "--sort=-test_accuracy", "--limit=20")
        (taken_s,) = medians(3, lambda: seconds(lambda: python(*listing)))
    return [Figure(f"list {RUNS:,} runs / one second", taken_s, 1.0, "s", "<= 1.5")]


def _make_runs(root: Path) -> None:
    spec = assemble(ExperimentSpec("DigitsDataset", "CharacterModel", "lenet")).spec.to_json()
    status = {"format": 1, "state": "finished", "error": None, "epoch": 10, "epochs": 10}
    results = {"val_loss": 0.1, "val_accuracy": 0.9, "test_loss": 0.1}
    for index in range(RUNS):
        folder = root / f"group-{index % 20}" / f"20260101-{index:06d}-aaaaa-lenet"
        folder.mkdir(parents=True)
        times = {"created": 1e9 + index, "started": 1e9 + index, "ended": 1e9 + index + 5}
        summary = {**results, "test_accuracy": (index % 997) / 997}
        (folder / "spec.json").write_text(json.dumps({**spec, "seed": index}, indent=2))
        (folder / "status.json").write_text(json.dumps({**status, "times": times, "summary": summary}, indent=2))
