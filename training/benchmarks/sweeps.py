"""Sweeps: the quality of a search, and the overhead of a sweep besides its trials."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmarks.harness import Figure, own_folder, seconds
from training.sweeps.plan import SweepPlan
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import PastTrial, make_search
from training.sweeps.stopping_rules.hyperband import Hyperband

TRIALS, SEEDS = 50, 20
SPACE = """
method: {method}
metric: {{name: val_loss, goal: minimize}}
parameters:
  dataset: {{value: DigitsDataset}}
  model: {{value: CharacterModel}}
  network: {{value: mlp}}
  network_args.layer_size: {{{sizes}}}
  network_args.num_layers: {{values: [1, 2, 3, 4, 5]}}
  network_args.dropout_amount: {{{dropouts}}}
  train_args.batch_size: {{values: [16, 32, 64, 128]}}
"""
# Milliseconds that one more trial may cost, by the number of trials so far.
BUDGETS_MS = {1_000: 20, 10_000: 50}
ASKED = 5
Point = Mapping[str, Any]


def branin(point: Point) -> float:
    """Minimum 0.3979. Source: Branin (1972)."""
    x, y = 15 * point["x0"] - 5, 15 * point["x1"]
    parabola = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def mixed(point: Point) -> float:
    """A category, an integer and two numbers that depend on the category; minimum 0."""
    offset = {"a": 0.0, "b": 0.6, "c": 1.2, "d": 0.3}[point["category"]]
    bowl = 3 * (point["x0"] - 0.3) ** 2 + 3 * (point["x1"] - 0.7) ** 2 * (1 + (point["category"] == "a"))
    return float(offset + 0.15 * abs(point["units"] - 7) + bowl)


def bowl8(point: Point) -> float:
    """Eight dimensions of decreasing weight; minimum 0. Noise is added to the search's values."""
    weights = (4.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.05)
    return float(sum(weight * (point[f"x{index}"] - 0.35) ** 2 for index, weight in enumerate(weights)))


_FLOATS = [f"  x{index}: {{min: 0.0, max: 1.0}}\n" for index in range(8)]
_MIXED = "  category: {values: [a, b, c, d]}\n  units: {min: 1, max: 12}\n"
# The function, its space, the noise and its minimum.
FUNCTIONS: dict[str, tuple[Callable[[Point], float], str, float, float]] = {
    "Branin": (branin, "".join(_FLOATS[:2]), 0.0, 0.3979),
    "mixed": (mixed, _MIXED + "".join(_FLOATS[:2]), 0.0, 0.0),
    "noisy bowl-8": (bowl8, "".join(_FLOATS), 0.05, 0.0),
}


def search_quality() -> list[Figure]:
    """Bayes search after half the trials, against random search after all."""
    figures = []
    for name, (function, space, noise, lowest) in FUNCTIONS.items():
        with own_folder() as folder:
            bayes, random = (
                [_best_after(function, space, noise, method, seed, folder / "sweep.yaml") for seed in range(SEEDS)]
                for method in ("bayes", "random")
            )
        ours = statistics.median(best[TRIALS // 2 - 1] for best in bayes)
        baseline = statistics.median(best[-1] for best in random)
        # Distances to the minimum, so that a ratio makes sense for negative values.
        what = f"{name}: bayes after {TRIALS // 2} trials / random after {TRIALS}"
        figures.append(Figure(what, ours - lowest, baseline - lowest, "above the minimum"))
    return figures


def _best_after(
    function: Callable[[Point], float], space: str, noise: float, method: str, seed: int, file: Path
) -> list[float]:
    """The true value of the best point so far, as the search saw it, after each trial."""
    random = np.random.default_rng(1_000 + seed)
    file.write_text(f"method: {method}\nmetric: {{name: loss, goal: minimize}}\nparameters:\n{space}")
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


def sweep_overhead() -> list[Figure]:
    """Cost of one more trial in a sweep (ask, tell, early termination, checks), against its budget."""
    with own_folder() as folder:
        figures = [
            Figure(
                f"{method}, {trials:,} trials so far: one more / budget",
                _cost_ms(_plan(folder, method), trials),
                budget_ms,
                "ms",
            )
            for trials, budget_ms in BUDGETS_MS.items()
            for method in ("grid", "random", "bayes")
        ]
        grid = _plan(folder, "grid")
        assert grid.size == 10_000
        return [*figures, Figure("checking 10,000 points / budget", seconds(grid.check), 3.0, "s")]


def _plan(folder: Path, method: str) -> SweepPlan:
    sizes, dropouts = "min: 1, max: 1000000", "min: 0.0, max: 0.9"
    if method == "grid":
        sizes, dropouts = f"values: {list(range(1, 51))}", f"values: {[index / 100 for index in range(10)]}"
    file = folder / f"{method}.yaml"
    file.write_text(SPACE.format(method=method, sizes=sizes, dropouts=dropouts))
    return read_plan(file)


def _cost_ms(plan: SweepPlan, trials: int) -> float:
    """Ask, tell and judge one more trial, after a number of finished ones."""
    assert plan.config is not None
    search, rule, space = make_search(plan), Hyperband(min_iter=3), plan.config.space
    past = trials - ASKED if plan.method == "grid" else trials
    for number in range(1, past + 1):
        point = space.grid[number - 1] if plan.method == "grid" else space.random_point(1, number)
        values = [1.0 / epoch + number % 97 / 100 for epoch in range(1, 11)]
        search.tell(PastTrial(number, point, "finished", values))
        rule.report(str(number), values)
    search.ask(past + 1)  # imports Optuna, once a sweep
    started = time.process_time()
    for number in range(past + 1, past + ASKED + 1):
        suggestion = search.ask(number)
        assert suggestion is not None
        search.tell(PastTrial(number, suggestion.point, "running"))
        for epoch in range(1, 11):
            rule.report(str(number), [1.0 / epoch])
            rule.decide(str(number))
        search.tell(PastTrial(number, suggestion.point, "finished", [0.1]))
    return (time.process_time() - started) / ASKED * 1_000
