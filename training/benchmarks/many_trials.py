"""Sixteen short trials, two at a time, against the usual ways to run them.

Each trial trains an mlp for one epoch on the digits of scikit-learn. Peers: a shell loop of `python train.py`, Optuna
with a subprocess a trial, and, where ray[tune] is installed, Ray Tune with fresh processes and with reused actors.
"""

import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from text_recognizer.settings import REPOSITORY
from training.benchmarks.harness import Figure, memory_mb, own_folder

TRIALS, JOBS, ROUNDS = 16, 2, 3

TRAIN = """
import os, sys, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np

def train(seed):
    import keras
    from sklearn.datasets import load_digits
    started = time.perf_counter()
    keras.utils.set_random_seed(seed)
    digits = load_digits()
    images, labels = (digits.images / 16).astype("float32"), digits.target
    model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten()])
    for _ in range(3):
        model.add(keras.layers.Dense(128, activation="relu"))
        model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images[:1079], labels[:1079], validation_data=(images[1079:1438], labels[1079:1438]),
                        batch_size=64, epochs=1, verbose=0)
    test = model.evaluate(images[1438:], labels[1438:], verbose=0)
    return history.history["val_loss"][0], time.perf_counter() - started

if __name__ == "__main__":
    import tensorflow
    value, seconds = train(int(sys.argv[1]))
    print(value, seconds)
"""

OPTUNA = """
import subprocess, sys
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
def objective(trial):
    seed = trial.suggest_int("seed", 0, 10_000)
    done = subprocess.run([sys.executable, "train.py", str(seed)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(objective, n_trials=TRIALS, n_jobs=JOBS)
assert len(study.trials) == TRIALS
"""

RAY = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = os.environ["RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS"] = "0"
import ray
from ray import tune
def trainable(config):
    import sys
    sys.path.insert(0, FOLDER)
    from train import train
    value, _ = train(config["seed"])
    tune.report({"val_loss": value})
ray.init(num_cpus=JOBS, include_dashboard=False, _temp_dir=TEMPORARY, log_to_driver=False)
tuner = tune.Tuner(
    tune.with_resources(trainable, {"cpu": 1}),
    param_space={"seed": tune.grid_search(list(range(TRIALS)))},
    tune_config=tune.TuneConfig(metric="val_loss", mode="min", reuse_actors=sys.argv[1] == "reuse"),
    run_config=tune.RunConfig(storage_path=FOLDER + "/ray_results", verbose=0),
)
results = tuner.fit()
assert len(results) == TRIALS and not results.errors
ray.shutdown()
"""

# What a way of running the trials took: wall and processor seconds, and the memory of all its processes at its highest.
Cost = tuple[float, float, float]
GOALS = {"shell loop": 3.5, "Optuna, subprocesses": 3.5, "Ray Tune": 5.0, "Ray Tune, reuse_actors": 1.7}


def many_trials() -> list[Figure]:
    """Sixteen short trials, against a shell loop, Optuna and Ray Tune."""
    with own_folder() as place:
        commands = {"run_sweep": [sys.executable, "-m", "training.run_sweep", "trials.json", f"--jobs={JOBS}"]}
        commands["run_sweep"] += ["--nowandb", "--gpu=none"]
        shell = f"seq 0 {TRIALS - 1} | xargs -P {JOBS} -I SEED {sys.executable} train.py SEED"
        ways = [["sh", "-c", shell], [sys.executable, "optuna_trials.py"]]
        if all(map(importlib.util.find_spec, ("ray", "pandas", "pyarrow"))):
            ways += [[sys.executable, "ray_trials.py", how] for how in ("fresh", "reuse")]
        commands |= zip(GOALS, ways, strict=False)
        _write_programs(place)
        # They take turns, so that a slow minute of the machine hits all of them.
        rounds = [{name: _cost(command, place) for name, command in commands.items()} for _ in range(ROUNDS)]
    median = {
        name: [statistics.median(values) for values in zip(*(costs[name] for costs in rounds), strict=True)]
        for name in commands
    }
    wall_s, cpu_s, memory = median["run_sweep"]
    _, shell_cpu_s, shell_memory = median["shell loop"]
    return [
        *(
            Figure(f"{TRIALS} trials: {name} / run_sweep", median[name][0], wall_s, "s", f">= {goal}")
            for name, goal in GOALS.items()
            if name in median
        ),
        Figure("CPU a trial: shell loop / run_sweep", shell_cpu_s / TRIALS, cpu_s / TRIALS, "s", ">= 4.5"),
        Figure("peak memory: run_sweep / shell loop", memory, shell_memory, "MB PSS"),
    ]


def _write_programs(place: Path) -> None:
    (place / "train.py").write_text(TRAIN)
    (place / "optuna_trials.py").write_text(f"TRIALS, JOBS = {TRIALS}, {JOBS}\n{OPTUNA}")
    temporary = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # Ray's socket paths must be short
    facts = f"TRIALS, JOBS, FOLDER, TEMPORARY = {TRIALS}, {JOBS}, {str(place)!r}, {temporary!r}\n"
    (place / "ray_trials.py").write_text(facts + RAY)
    spec = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}
    train_args = {"epochs": 1, "batch_size": 64}
    experiments = [{**spec, "train_args": train_args, "seed": seed} for seed in range(TRIALS)]
    (place / "trials.json").write_text(json.dumps({"experiment_group": "trials", "experiments": experiments}))


def _cost(command: list[str], folder: Path) -> Cost:
    shutil.rmtree(folder / "runs", ignore_errors=True)
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with ThreadPoolExecutor(1) as watching:
        peak = watching.submit(_peak_pss_mb, process)
        _, errors = process.communicate()
        wall_s = time.perf_counter() - started
    assert process.returncode == 0, errors.decode(errors="replace")[-3000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak.result()


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
