"""CMA-ES as a search: a strategy that is told whole generations, and the same suggestions after any restart."""

import math
import sys
import types
from typing import Any, ClassVar

import pytest

from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import PastTrial, make_search
from training.sweeps.search.evolution import Evolution, Told


class Strategy:
    """Stands in for cmaes.CMA: it suggests what it was seeded with last, and remembers what it was told."""

    population_size = 2
    made: ClassVar[list["Strategy"]] = []

    def __init__(self, mean: Any, sigma: float, bounds: Any, seed: int) -> None:
        self.mean = tuple(mean)
        self.generations: list[list[tuple[tuple[float, ...], float]]] = []
        self.seed = seed
        self.made.append(self)

    def reseed_rng(self, seed: int) -> None:
        self.seed = seed

    def ask(self) -> list[float]:
        return [float(self.seed), float(len(self.generations))]

    def tell(self, solutions: list[tuple[Any, float]]) -> None:
        self.generations.append([(tuple(map(float, point)), value) for point, value in solutions])

    def should_stop(self) -> bool:
        return len(self.generations) == 3


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Strategy]:
    module: Any = types.ModuleType("cmaes")
    module.CMA = Strategy
    monkeypatch.setitem(sys.modules, "cmaes", module)
    Strategy.made = []
    return Strategy.made


def trials(count: int) -> list[Told]:
    """The third is the best of the first three, each after them better than the one before."""
    values = [3.0, 2.0, 1.0, *(1 / number for number in range(4, count + 1))]
    return [((number / 100, 0.5), value) for number, value in enumerate(values[:count], start=1)]


def test_it_begins_at_the_best_of_the_first_and_is_told_whole_generations_in_order(made: list[Strategy]) -> None:
    evolution = Evolution(seed=1, startup=3)
    for count in range(3, 9):
        evolution.ask(trials(count), count + 1, 0)
    (strategy,) = made
    assert strategy.mean == (0.03, 0.5)
    every = trials(8)
    assert strategy.generations == [every[3:5], every[5:7]]


def test_the_same_trials_give_the_same_suggestion_whether_it_has_seen_them_grow_or_not(made: list[Strategy]) -> None:
    grown = Evolution(seed=1, startup=3)
    for count in range(3, 13):
        latest = grown.ask(trials(count), count + 1, 0)
        assert Evolution(seed=1, startup=3).ask(trials(count), count + 1, 0) == latest
    assert Evolution(seed=2, startup=3).ask(trials(12), 13, 0) != latest
    assert grown.ask(trials(12), 13, 1) != latest != grown.ask(trials(12), 14, 0)


def test_a_trial_that_ended_late_has_all_be_told_again(made: list[Strategy]) -> None:
    evolution = Evolution(seed=1, startup=3)
    every = trials(8)
    evolution.ask([*every[:4], *every[5:]], 9, 0)
    evolution.ask(every, 9, 0)
    first, second = made
    assert first.generations == [[every[3], every[5]], [every[6], every[7]]]
    assert second.generations == [every[3:5], every[5:7]]


def test_a_strategy_that_has_converged_begins_again_at_the_best(made: list[Strategy]) -> None:
    Evolution(seed=1, startup=3).ask(trials(12), 13, 0)
    assert len(made) == 2
    assert made[1].mean == (0.09, 0.5)  # of nine trials: three at first, three generations of two
    assert made[1].generations == [trials(12)[9:11]]


BOWL = """
method: bayes
metric: {name: val_loss}
parameters:
  a: {min: 0.0, max: 1.0}
  b: {distribution: log_uniform_values, min: 0.0001, max: 1.0}
"""


def test_it_learns_where_the_good_values_are(tmp_path):
    pytest.importorskip("cmaes")
    (tmp_path / "sweep.yaml").write_text(BOWL)
    early: list[float] = []
    late: list[float] = []
    for seed in range(5):
        search = make_search(read_plan(tmp_path / "sweep.yaml", base={}, seed=seed, sampler="cmaes"))
        for number in range(1, 61):
            suggestion = search.ask(number)
            assert suggestion is not None
            distance = math.hypot(suggestion.point["a"] - 0.7, (math.log10(suggestion.point["b"]) + 3) / 4)
            search.tell(PastTrial(number, suggestion.point, "finished", [distance]))
            (early if number <= 20 else late if number > 40 else []).append(distance)
    assert sum(late) / len(late) < 0.4 * sum(early) / len(early)  # random search: about as far at the end as before


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_failed_and_running_trials_and_lists_of_values_do_not_break_it(goal, tmp_path, made, monkeypatch):
    monkeypatch.setattr("training.sweeps.search.bayes.importlib.util.find_spec", lambda package: package)
    monkeypatch.setattr(Strategy, "ask", lambda strategy: [0.2, 0.6, 0.9])
    text = BOWL.replace("{name: val_loss}", f"{{name: val_loss, goal: {goal}}}") + "  network: {values: [mlp, lenet]}\n"
    (tmp_path / "sweep.yaml").write_text(text)
    search = make_search(read_plan(tmp_path / "sweep.yaml", base={}, sampler="cmaes"), allow_repeats=True)
    for number, (state, values) in enumerate([("finished", [2.0]), ("failed", []), ("running", [])] * 4, start=1):
        suggestion = search.ask(number)
        assert suggestion is not None
        search.tell(PastTrial(number, suggestion.point, state, values))
    assert suggestion is not None
    assert suggestion.point == {"a": 0.2, "b": pytest.approx(10**-1.6), "network": "lenet"}
    values = [value for strategy in made for generation in strategy.generations for _, value in generation]
    assert set(values) == {2.0 if goal == "minimize" else -2.0}
