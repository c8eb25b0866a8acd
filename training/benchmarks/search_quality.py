"""How good bayes search is: its value after half the trials against random search after all of them."""

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmarks.figures import Figure
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import PastTrial, make_search

TRIALS, SEEDS = 50, 20

Point = Mapping[str, Any]


def branin(point: Point) -> float:
    """Minimum 0.3979. Source: Branin (1972)."""
    x, y = 15 * point["x0"] - 5, 15 * point["x1"]
    parabola = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(point: Point) -> float:
    """Minimum -3.3224. Source: Hartmann (1973)."""
    x = np.array([point[f"x{index}"] for index in range(6)])
    return float(-(_ALPHA * np.exp(-(_A * (x - _P) ** 2).sum(axis=1))).sum())


def mixed(point: Point) -> float:
    """A category, a whole number and two numbers that depend on the category; minimum 0."""
    offset = {"a": 0.0, "b": 0.6, "c": 1.2, "d": 0.3}[point["category"]]
    bowl = 3 * (point["x0"] - 0.3) ** 2 + 3 * (point["x1"] - 0.7) ** 2 * (1 + (point["category"] == "a"))
    return float(offset + 0.15 * abs(point["units"] - 7) + bowl)


_WEIGHTS = (4.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.05)


def bowl8(point: Point) -> float:
    """Eight dimensions of falling weight; minimum 0. Noise is added to what the search sees."""
    return float(sum(weight * (point[f"x{index}"] - 0.35) ** 2 for index, weight in enumerate(_WEIGHTS)))


def _floats(count: int) -> str:
    return "\n".join(f"  x{index}: {{min: 0.0, max: 1.0}}" for index in range(count))


# The function, its space, the noise and its minimum.
FUNCTIONS: dict[str, tuple[Callable[[Point], float], str, float, float]] = {
    "Branin": (branin, _floats(2), 0.0, 0.3979),
    "Hartmann-6": (hartmann6, _floats(6), 0.0, -3.3224),
    "mixed": (mixed, "  category: {values: [a, b, c, d]}\n  units: {min: 1, max: 12}\n" + _floats(2), 0.0, 0.0),
    "noisy bowl-8": (bowl8, _floats(8), 0.05, 0.0),
}


def measure() -> list[Figure]:
    figures = []
    for name, (function, space, noise, lowest) in FUNCTIONS.items():
        bayes = [_best_after(function, space, noise, "bayes", seed) for seed in range(SEEDS)]
        random = [_best_after(function, space, noise, "random", seed) for seed in range(SEEDS)]
        ours = statistics.median(best[TRIALS // 2 - 1] for best in bayes)
        baseline = statistics.median(best[TRIALS - 1] for best in random)
        # Distances to the minimum, so that a ratio makes sense where values are negative.
        what = f"{name}: bayes after {TRIALS // 2} trials / random after {TRIALS}"
        figures.append(Figure(what, ours - lowest, baseline - lowest, "above the minimum", "<= 1.0"))
    return figures


def _best_after(function: Callable[[Point], float], space: str, noise: float, method: str, seed: int) -> list[float]:
    """The true value of the best point so far, as the search saw it, after each trial."""
    random = np.random.default_rng(1_000 + seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.yaml"
        file.write_text(f"method: {method}\nmetric: {{name: loss, goal: minimize}}\nparameters:\n{space}\n")
        search = make_search(read_plan(file, base={}, seed=seed))
    best_seen, best_true, found = math.inf, math.inf, []
    for number in range(1, TRIALS + 1):
        suggestion = search.ask(number)
        assert suggestion is not None
        true = function(suggestion.point)
        seen = true + random.normal(0, noise) if noise else true
        search.tell(PastTrial(number, suggestion.point, "finished", [seen]))
        if seen < best_seen:
            best_seen, best_true = seen, true
        found.append(best_true)
    return found
