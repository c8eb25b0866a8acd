"""Sixteen short trials, two at a time, against the usual ways to run them; the peers get environments for themselves.

Each trial trains an mlp for one epoch on the digits of scikit-learn. Peers: a shell loop of `python train.py`, Optuna
with a subprocess a trial, Ray Tune with fresh processes, Ray Tune with reused actors.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.settings import REPOSITORY, data_folder
from training.benchmarks.figures import Figure
from training.benchmarks.shared_memory import smaps_mb

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


@dataclass(frozen=True)
class Cost:
    """What one way of running the trials took.

    Args:
        cpu_s: of all processes that were waited for; 0 where they are not our descendants.
        peak_pss_mib: proportional memory of all processes below, at its highest.
    """

    wall_s: float
    cpu_s: float
    peak_pss_mib: float


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        optuna, ray = _environment("optuna", ["optuna>=5,<6"]), _environment("ray", ["ray[tune]==2.60.*"])
        ways = _ways(place, optuna, ray)
        # They take turns, so that a slow minute of the machine hits all of them.
        rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    return _figures({name: [costs[name] for costs in rounds] for name in ways})


def _ways(place: Path, optuna: Path, ray: Path) -> dict[str, Callable[[], Cost]]:
    (place / "train.py").write_text(TRAIN)
    (place / "optuna_trials.py").write_text(f"TRIALS, JOBS = {TRIALS}, {JOBS}\n{OPTUNA}")
    temporary = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # Ray's socket paths must be short
    facts = f"TRIALS, JOBS, FOLDER, TEMPORARY = {TRIALS}, {JOBS}, {str(place)!r}, {temporary!r}\n"
    (place / "ray_trials.py").write_text(facts + RAY)
    spec = {
        "dataset": "DigitsDataset",
        "model": "CharacterModel",
        "network": "mlp",
        "train_args": {"epochs": 1, "batch_size": 64},
    }
    experiments = [{**spec, "seed": seed} for seed in range(TRIALS)]
    (place / "trials.json").write_text(json.dumps({"experiment_group": "trials", "experiments": experiments}))
    shell = f"seq 0 {TRIALS - 1} | xargs -P {JOBS} -I SEED {optuna} train.py SEED"
    sweep = [sys.executable, "-m", "training.run_sweep", "trials.json", "--jobs", str(JOBS), "--nowandb", "--gpu=none"]

    def ours() -> Cost:
        shutil.rmtree(place / "runs", ignore_errors=True)
        return _cost(sweep, place, {"PYTHONPATH": str(REPOSITORY), "TEXT_RECOGNIZER_RUNS": str(place / "runs")})

    return {
        "run_sweep": ours,
        "shell loop": lambda: _cost(["sh", "-c", shell], place),
        "Optuna, subprocesses": lambda: _cost([str(optuna), "optuna_trials.py"], place),
        "Ray Tune": lambda: _cost([str(ray), "ray_trials.py", "fresh"], place),
        "Ray Tune, reuse_actors": lambda: _cost([str(ray), "ray_trials.py", "reuse"], place),
    }


def _figures(costs: dict[str, list[Cost]]) -> list[Figure]:
    def median(name: str, what: str) -> float:
        return float(statistics.median(getattr(cost, what) for cost in costs[name]))

    wall = median("run_sweep", "wall_s")
    goals = {"shell loop": 3.5, "Optuna, subprocesses": 3.5, "Ray Tune": 5.0, "Ray Tune, reuse_actors": 1.7}
    figures = [
        Figure(f"{TRIALS} trials: {name} / run_sweep", median(name, "wall_s"), wall, "s", f">= {goal}")
        for name, goal in goals.items()
    ]
    ours_cpu, shell_cpu = median("run_sweep", "cpu_s") / TRIALS, median("shell loop", "cpu_s") / TRIALS
    ours_memory, shell_memory = median("run_sweep", "peak_pss_mib"), median("shell loop", "peak_pss_mib")
    return [
        *figures,
        Figure("CPU a trial: shell loop / run_sweep", shell_cpu, ours_cpu, "s", ">= 4.5"),
        Figure("peak memory: run_sweep / shell loop", ours_memory, shell_memory, "MiB PSS", "<= 1.0"),
    ]


def _environment(name: str, packages: list[str]) -> Path:
    """The Python of an environment with what a peer needs, made once in the data folder."""
    folder = data_folder() / "benchmark_environments" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        constraints = REPOSITORY / "constraints.txt"
        base = ["tensorflow-cpu", "keras", "scikit-learn"]
        install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *base, *packages]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        (folder / "ready").touch()
    return python


def _cost(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **(environ or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with ThreadPoolExecutor(1) as watching:
        peak = watching.submit(_peak_pss_mib, process)
        _, errors = process.communicate()
        wall_s = time.perf_counter() - started
    assert process.returncode == 0, errors.decode(errors="replace")[-3000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, peak.result())


def _peak_pss_mib(process: "subprocess.Popen[bytes]") -> float:
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(smaps_mb(pid, "Pss") for pid in _descendants(process.pid)) * 1e6 / 2**20)
        time.sleep(0.3)
    return peak


def _descendants(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
