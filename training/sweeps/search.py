"""Search: which point to try next. A function of the seed and of the trials so far. The only file that knows Optuna."""

import importlib.util
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from text_recognizer.errors import SpecError
from training.sweeps.evolution import Evolution
from training.sweeps.file.parameters import Parameter, Point
from training.sweeps.observations import PastRun, observe
from training.sweeps.plan import SweepPlan

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "gp", "cmaes")
# What each sampler needs besides Optuna.
_NEEDED_PACKAGES = {"gp": "torch", "cmaes": "cmaes"}
# Random trials before the model is asked: fewer than Optuna's ten, since sweeps here are short; measured by
# training/benchmarks/search_quality.py.
STARTUP_TRIALS = 5
# A model of more trials than this is no better, and asking it takes longer than a short trial does.
MOST_MODELLED = 500


@dataclass(frozen=True)
class PastTrial:
    """A trial as the search sees it.

    Args:
        number: counted from 1.
        point: as it was suggested, never what a run made of it.
        state: finished, stopped, failed, or running while its value is open.
        values: what its runs reported of the metric, in order (means over seeds).
    """

    number: int
    point: Point
    state: str
    values: Sequence[float] = ()


@dataclass(frozen=True)
class Suggestion:
    """A point, and why this one.

    Args:
        how: for people and for `sweeps explain`; plain JSON.
    """

    point: Point
    how: Mapping[str, Any] = field(default_factory=dict)


class Search(Protocol):
    """Asked for trial number n it must give the same answer whenever it was told the same."""

    def ask(self, number: int) -> Suggestion | None:
        """The next suggestion; None when there is none left, or none yet."""

    def tell(self, trial: PastTrial) -> None:
        """What is known of a trial by now; a later word replaces an earlier one."""


def make_search(plan: SweepPlan, allow_repeats: bool = False) -> Search:
    """
    Args:
        allow_repeats: random and bayes may suggest a point again.
    Raises:
        SpecError: the sampler needs a package that is not installed.
    """
    if plan.config is None:
        return ListSearch(len(plan.experiments))
    if plan.config.method == "grid":
        return GridSearch(plan)
    if plan.config.method == "random":
        return RandomSearch(plan, allow_repeats)
    return BayesSearch(plan, allow_repeats)


class ListSearch:
    """The experiments of a file, in order."""

    def __init__(self, size: int) -> None:
        self._size = size

    def ask(self, number: int) -> Suggestion | None:
        return Suggestion({"experiment": number - 1}) if number <= self._size else None

    def tell(self, trial: PastTrial) -> None: ...


class _Seen:
    """Points that need not be tried again; equal are those that lead to equal overrides."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._numbers: dict[Hashable, int] = {}

    def key(self, point: Point) -> Hashable:
        assert self._plan.config is not None
        key = self._plan.config.space.point_key(point)
        if not self._plan.conditions:
            return key
        return repr(sorted(self._plan.overrides(point).items(), key=lambda item: item[0]))

    def add(self, number: int, point: Point) -> None:
        self._numbers.setdefault(self.key(point), number)

    def __contains__(self, point: Point) -> bool:
        return self.key(point) in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)


class GridSearch:
    """W&B's grid: every point once, in W&B's order. A point that failed counts as tried; the sweep retries runs."""

    def __init__(self, plan: SweepPlan) -> None:
        assert plan.config is not None
        self._grid = plan.config.space.grid
        self._enqueued = plan.enqueued
        self._seen = _Seen(plan)
        self._next_rank = 0

    def ask(self, number: int) -> Suggestion | None:
        if number <= len(self._enqueued):
            return Suggestion(self._enqueued[number - 1], {"enqueued": number})
        while self._next_rank < self._grid.size:
            point = self._grid[self._next_rank]
            if point not in self._seen:
                return Suggestion(point, {"grid_point": self._next_rank + 1, "of": self._grid.size})
            self._next_rank += 1
        return None

    def tell(self, trial: PastTrial) -> None:
        self._seen.add(trial.number, trial.point)


class RandomSearch:
    """Trial n is a function of the sweep's seed and n. In a finite space no point comes twice, unless asked to."""

    MOST_DRAWS = 1_000

    def __init__(self, plan: SweepPlan, allow_repeats: bool) -> None:
        assert plan.config is not None
        self._plan = plan
        self._space = plan.config.space
        self._enqueued = plan.enqueued
        self._allow_repeats = allow_repeats
        self._points = None if allow_repeats else self._space.distinct_points
        self._seen = _Seen(plan)

    def ask(self, number: int) -> Suggestion | None:
        if number <= len(self._enqueued):
            return Suggestion(self._enqueued[number - 1], {"enqueued": number})
        if self._points is not None and len(self._seen) >= self._points:
            return None
        for draw in range(self.MOST_DRAWS):
            # The draws of one number are a sequence of their own: how often others had to draw does not matter.
            point = self._space.random_point(self._plan.seed, number if draw == 0 else number + draw * 2**40)
            if self._allow_repeats or point not in self._seen:
                return Suggestion(point, {"random": {"seed": self._plan.seed, "trial": number, "draw": draw + 1}})
        return self._any_left(number)

    def tell(self, trial: PastTrial) -> None:
        self._seen.add(trial.number, trial.point)

    def _any_left(self, number: int) -> Suggestion | None:
        """Almost everything was tried: the first point of the grid that was not, where there is a grid."""
        try:
            grid = self._space.grid
        except SpecError:
            return None
        left = next((point for point in grid if point not in self._seen), None)
        return None if left is None else Suggestion(left, {"left_over": number})


class BayesSearch:
    """Optuna's samplers, or CMA-ES, over W&B's space. An Optuna study is built anew from the trials so far for each
    suggestion.

    Trials that failed count as the metric's `impute` says; those still running keep others away (a constant liar).
    """

    MOST_DRAWS = 50

    def __init__(self, plan: SweepPlan, allow_repeats: bool) -> None:
        assert plan.config is not None
        assert plan.metric is not None  # W&B's schema requires one for bayes
        self._plan = plan
        self._space = plan.config.space
        self._metric = plan.metric
        self._random = RandomSearch(plan, allow_repeats)
        self._allow_repeats = allow_repeats
        self._seen = _Seen(plan)
        self._trials: dict[int, PastTrial] = {}
        self._frozen: dict[int, optuna.trial.FrozenTrial] = {}  # as Optuna has them; making them is half the work
        self._axes = [_Axis.of(parameter) for parameter in self._space.searchable]
        check_sampler(plan.sampler)
        self._evolution = Evolution(plan.seed, STARTUP_TRIALS) if plan.sampler == "cmaes" else None

    def ask(self, number: int) -> Suggestion | None:
        if number <= len(self._plan.enqueued):
            return Suggestion(self._plan.enqueued[number - 1], {"enqueued": number})
        points = self._space.distinct_points
        if not self._allow_repeats and points is not None and len(self._seen) >= points:
            return None
        modelled = self._modelled()
        ended = sum(trial.state != "running" for trial in modelled)
        if ended < STARTUP_TRIALS or not self._axes:
            return self._random.ask(number)
        for draw in range(self.MOST_DRAWS):
            point = self._propose(modelled, number, draw)
            if self._allow_repeats or point not in self._seen:
                how = {"sampler": self._plan.sampler, "rests_on": ended, "draw": draw + 1}
                return Suggestion(point, {"bayes": how})
        return self._random.ask(number)

    def tell(self, trial: PastTrial) -> None:
        self._trials[trial.number] = trial
        self._seen.add(trial.number, trial.point)
        self._random.tell(trial)

    def _modelled(self) -> list[PastTrial]:
        """The trials the model rests on: all, or of very many the best and an even sample of the others."""
        trials = [self._trials[number] for number in sorted(self._trials)]
        if len(trials) <= MOST_MODELLED:
            return trials
        sign = -1 if self._metric.goal == "maximize" else 1
        running = [trial for trial in trials if trial.state == "running"]
        ranked = sorted(
            (trial for trial in trials if trial.state != "running"),
            key=lambda trial: (min((sign * value for value in trial.values), default=float("inf")), trial.number),
        )
        room = max(1, MOST_MODELLED - len(running))
        best, others = ranked[: room // 4], ranked[room // 4 :]
        step = -(-len(others) // max(1, room - len(best)))
        return sorted([*running, *best, *others[::step]], key=lambda trial: trial.number)

    def _propose(self, modelled: Sequence[PastTrial], number: int, draw: int) -> Point:
        if self._evolution is None:
            return self._point_of(self._ask_optuna(modelled, number, draw))
        # All trials, not a selection: its generations follow one another.
        trials = [self._trials[known] for known in sorted(self._trials)]
        ended = [(trial, value) for trial, value in self._observed(trials) if value is not None]
        told = [(self._shares_of(trial.point), value) for trial, value in ended]
        shares = dict(zip((axis.name for axis in self._axes), self._evolution.ask(told, number, draw), strict=True))
        return self._space.sample(lambda name: shares[name])

    def _shares_of(self, point: Point) -> tuple[float, ...]:
        values = self._space.values_of(point)
        return tuple(axis.parameter.share_of(values[axis.name]) for axis in self._axes)

    def _ask_optuna(self, trials: Sequence[PastTrial], number: int, draw: int) -> dict[str, Any]:
        import optuna
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        distributions = {axis.name: axis.distribution for axis in self._axes}
        study = optuna.create_study(sampler=_sampler(self._plan.sampler, self._plan.seed, number, draw))
        for trial, value in self._observed(trials):
            state = TrialState.RUNNING if value is None else TrialState.COMPLETE
            known = self._frozen.get(trial.number)
            if known is None or (known.state, known.value) != (state, value):
                params = self._params_of(trial.point)
                known = optuna.trial.create_trial(params=params, distributions=distributions, value=value, state=state)
                self._frozen[trial.number] = known
            study.add_trial(known)
        return study.ask(distributions).params

    def _observed(self, trials: Sequence[PastTrial]) -> list[tuple[PastTrial, float | None]]:
        """Trials with their value, to be minimised; None while it is open."""
        runs = [PastRun(trial.point, trial.state, trial.values) for trial in trials]
        seen = observe(self._space, self._metric, runs)
        left_out = {id(run) for run in seen.left_out}
        objective = iter(seen.objective)
        observed: list[tuple[PastTrial, float | None]] = []
        for trial, run in zip(trials, runs, strict=True):
            if id(run) in left_out:
                continue
            in_flight = trial.state == "running" and self._metric.impute_while_running == "false"
            observed.append((trial, None if in_flight else next(objective)))
        return observed

    def _params_of(self, point: Point) -> dict[str, Any]:
        values = self._space.values_of(point)
        return {axis.name: axis.coordinate(values[axis.name]) for axis in self._axes}

    def _point_of(self, params: Mapping[str, Any]) -> Point:
        by_name = {axis.name: axis for axis in self._axes}
        return self._space.point(lambda parameter: by_name[parameter.name].value(params[parameter.name]))


@dataclass(frozen=True)
class _Axis:
    """How Optuna sees a parameter: a list and whole numbers as they are, everything else as its share of the
    distribution, from 0 to 1, so that any distribution of W&B's is sampled exactly."""

    parameter: Parameter
    distribution: "optuna.distributions.BaseDistribution"

    @property
    def name(self) -> str:
        return self.parameter.name

    @classmethod
    def of(cls, parameter: Parameter) -> "_Axis":
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        settings = parameter.settings
        if parameter.is_categorical:
            return cls(parameter, CategoricalDistribution(tuple(range(len(settings["values"])))))
        if parameter.distribution == "int_uniform":
            return cls(parameter, IntDistribution(int(settings["min"]), int(settings["max"])))
        return cls(parameter, FloatDistribution(0.0, 1.0))

    def coordinate(self, value: Any) -> Any:
        if self.parameter.is_categorical:
            values = self.parameter.settings["values"]
            shares = [self.parameter.cdf(one) for one in values]
            return shares.index(self.parameter.cdf(value))
        if self.parameter.distribution == "int_uniform":
            return int(value)
        return self.parameter.share_of(value)

    def value(self, coordinate: Any) -> Any:
        if self.parameter.is_categorical:
            return self.parameter.settings["values"][coordinate]
        if self.parameter.distribution == "int_uniform":
            return int(coordinate)
        return self.parameter.value_at(coordinate)


def check_sampler(name: str) -> None:
    """
    Raises:
        SpecError: there is no such sampler, or it needs a package that is not installed.
    """
    if name not in SAMPLERS:
        raise SpecError(f"unknown sampler '{name}'. Known: {', '.join(SAMPLERS)}.")
    package = _NEEDED_PACKAGES.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        raise SpecError(f"the sampler '{name}' needs the package {package}: pip install {package}. 'tpe' needs none.")


def _sampler(name: str, seed: int, number: int, draw: int) -> "optuna.samplers.BaseSampler":
    import optuna
    from optuna.samplers import GPSampler, TPESampler

    own_seed = (seed * 1_000_003 + number * 1_009 + draw) % 2**32
    if name == "gp":
        return GPSampler(seed=own_seed, n_startup_trials=STARTUP_TRIALS)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return TPESampler(seed=own_seed, n_startup_trials=STARTUP_TRIALS)
