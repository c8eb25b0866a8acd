"""Waiting times: commands, the start of a trial, many short trials, a report, a list of runs."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from text_recognizer.experiment import assemble
from text_recognizer.settings import REPOSITORY
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.harness import Figure, medians, memory_mb, own_cpu_s, own_folder, python, seconds
from training.runs.run import Run

MISTYPED = '{"dataset": "EmnistDataset", "model": "CharacterModel", "network": "mlp", "network_args": {"layers": 3}}'
REPORTS, RUNS = 5_000, 10_000
STARTS, BUDGET_MS = 100, 30.0
# The first line of a run prints the time, and that is all the run does.
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
TRIALS, JOBS, ROUNDS = 16, 2, 3

TRAIN = """
import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np

def train(seed):
    import keras
    from sklearn.datasets import load_digits
    keras.utils.set_random_seed(seed)
    digits = load_digits()
    images, labels = (digits.images / 16).astype("float32"), digits.target
    model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten()])
    for _ in range(3):
        model.add(keras.layers.Dense(128, activation="relu"))
        model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:1079], labels[:1079], validation_data=(images[1079:1438], labels[1079:1438]),
              batch_size=64, epochs=1, verbose=0)
    model.evaluate(images[1438:], labels[1438:], verbose=0)

if __name__ == "__main__":
    import tensorflow
    train(int(sys.argv[1]))
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
    from training.runs.environment import users_modules

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
        (folder / "metrics.jsonl").write_text(json.dumps({"epoch": 1, **results}) + "\n")
        (folder / "status.json").write_text(json.dumps({**status, "times": times, "summary": summary}, indent=2))


def many_trials() -> list[Figure]:
    """Sixteen short trials, against a shell loop."""
    with own_folder() as place:
        sweep = [sys.executable, "-m", "training.run_sweep", "trials.json", f"--jobs={JOBS}", "--nowandb", "--gpu=none"]
        shell = ["sh", "-c", f"seq 0 {TRIALS - 1} | xargs -P {JOBS} -I SEED {sys.executable} train.py SEED"]
        _write_programs(place)
        ours, theirs = medians(ROUNDS, lambda: _cost(sweep, place), lambda: _cost(shell, place))
    return [
        Figure(f"{TRIALS} trials: shell loop / run_sweep", theirs[0], ours[0], "s", ">= 3.5"),
        Figure("CPU a trial: shell loop / run_sweep", theirs[1] / TRIALS, ours[1] / TRIALS, "s", ">= 4.5"),
        Figure("peak memory: run_sweep / shell loop", ours[2], theirs[2], "MB PSS"),
    ]


def _write_programs(place: Path) -> None:
    (place / "train.py").write_text(TRAIN)
    spec = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}
    train_args = {"epochs": 1, "batch_size": 64}
    experiments = [{**spec, "train_args": train_args, "seed": seed} for seed in range(TRIALS)]
    (place / "trials.json").write_text(json.dumps({"experiment_group": "trials", "experiments": experiments}))


def _cost(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Wall and processor seconds of a way of running the trials, and the peak memory of all its processes."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    before_s, started = own_cpu_s(), time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with ThreadPoolExecutor(1) as watching:
        peak = watching.submit(_peak_pss_mb, process)
        _, errors = process.communicate()
        wall_s = time.perf_counter() - started
    assert process.returncode == 0, errors.decode(errors="replace")[-3000:]
    return wall_s, own_cpu_s() - before_s, peak.result()


def _peak_pss_mb(process: "subprocess.Popen[bytes]") -> float:
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(memory_mb(pid, "Pss") for pid in _descendants(process.pid)))
        time.sleep(0.3)
    return peak


def _descendants(root: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, listed.splitlines())}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
