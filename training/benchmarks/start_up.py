"""How soon help and a mistyped spec are answered."""

import subprocess
import sys
import time

from training.benchmarks.figures import Figure, medians

ROUNDS = 7
MISTYPED = '{"dataset": "EmnistDataset", "model": "CharacterModel", "network": "mlp", "network_args": {"layers": 3}}'


def measure() -> list[Figure]:
    shown, refused, imported = medians(
        ROUNDS,
        lambda: _seconds(["-m", "training.run_experiment", "--help"], 0),
        lambda: _seconds(["-m", "training.run_experiment", MISTYPED], 2),
        lambda: _seconds(["-c", "import tensorflow"], 0),
    )
    return [
        Figure("run_experiment --help / import tensorflow", shown, imported, "s", "<= 0.1"),
        Figure("mistyped spec refused / import tensorflow", refused, imported, "s", "<= 0.1"),
    ]


def _seconds(arguments: list[str], expected_code: int) -> float:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    elapsed = time.perf_counter() - started
    assert done.returncode == expected_code, done.stderr.decode()
    return elapsed
