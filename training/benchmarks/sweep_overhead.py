"""What a sweep costs beside its trials: asking, telling, early termination, checking."""

import tempfile
import time
from pathlib import Path

from training.benchmarks.figures import Figure, seconds
from training.sweeps.plan import SweepPlan
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import PastTrial, make_search
from training.sweeps.stopping_rules.hyperband import Hyperband

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
# (method, trials so far, milliseconds a trial that one more may cost)
BUDGETS = [
    ("grid", 1_000, 20),
    ("random", 1_000, 20),
    ("bayes", 1_000, 20),
    ("grid", 10_000, 50),
    ("random", 10_000, 50),
    ("bayes", 10_000, 50),
]
ASKED = 5


def measure() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for method, trials, budget_ms in BUDGETS:
            cost_ms = _cost_ms(_plan(Path(folder), method), trials)
            figures.append(
                Figure(f"{method}, {trials:,} trials so far: one more / budget", cost_ms, budget_ms, "ms", "<= 1.0")
            )
        grid = _plan(Path(folder), "grid")
        assert grid.size == 10_000
        figures.append(Figure("checking 10,000 points / budget", seconds(grid.check), 3.0, "s", "<= 1.0"))
    return figures


def _plan(folder: Path, method: str) -> SweepPlan:
    sizes, dropouts = "min: 1, max: 1000000", "min: 0.0, max: 0.9"
    if method == "grid":
        sizes, dropouts = f"values: {list(range(1, 51))}", f"values: {[index / 100 for index in range(10)]}"
    file = folder / f"{method}.yaml"
    file.write_text(SPACE.format(method=method, sizes=sizes, dropouts=dropouts))
    return read_plan(file)


def _cost_ms(plan: SweepPlan, trials: int) -> float:
    """Ask, tell and judge one more trial, after so many that have finished."""
    assert plan.config is not None
    search = make_search(plan)
    table = Hyperband(min_iter=3)
    space = plan.config.space
    past = trials - ASKED if plan.method == "grid" else trials
    for number in range(1, past + 1):
        point = space.grid[number - 1] if plan.method == "grid" else space.random_point(1, number)
        values = [1.0 / epoch + number % 97 / 100 for epoch in range(1, 11)]
        search.tell(PastTrial(number, point, "finished", values))
        table.report(str(number), values)
    search.ask(past + 1)  # imports Optuna, once a sweep
    started = time.process_time()
    for number in range(past + 1, past + ASKED + 1):
        suggestion = search.ask(number)
        assert suggestion is not None
        search.tell(PastTrial(number, suggestion.point, "running"))
        for epoch in range(1, 11):
            table.report(str(number), [1.0 / epoch])
            table.decide(str(number))
        search.tell(PastTrial(number, suggestion.point, "finished", [0.1]))
    return (time.process_time() - started) / ASKED * 1_000
