"""Sixteen short trials, two at a time, against a shell loop of `python train.py`.

Each trial trains an mlp for one epoch on the digits of scikit-learn.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from text_recognizer.settings import REPOSITORY
from training.benchmarks.harness import Figure, medians, memory_mb, own_cpu_s, own_folder

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
    """Wall and processor seconds of a way of running the trials, and the memory of all its processes at its highest."""
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
