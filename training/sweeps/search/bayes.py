"""Bayesian search with Optuna's samplers."""

import copy
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from text_recognizer.errors import SpecError
from training.sweeps.file.parameter import Parameter, Point
from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, Suggestion
from training.sweeps.search.evolution import Evolution
from training.sweeps.search.observations import best_value, observed_values
from training.sweeps.search.random import RandomSearch

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "gp", "cmaes")
# Packages of each sampler besides Optuna.
_NEEDED_PACKAGES = {"gp": "torch", "cmaes": "cmaes"}
# Random trials before the model is used: fewer than Optuna's ten, since sweeps here are short; measured by
# training/benchmarks/sweeps.py.
STARTUP_TRIALS = 5
# Explicit, and recorded in the journal with the version of Optuna, so that an upgrade changes no sweep unnoticed.
TPE_SETTINGS: dict[str, Any] = {"multivariate": True, "group": False, "constant_liar": True, "n_ei_candidates": 24}
# TPE's good trials are the best tenth, but at most 25: with more trials, only the number of others increases.
# With 100, suggestions were worse.
MOST_MODELLED = 250
FEW_NUMBERS = 64


class BayesSearch(RandomSearch):
    """Optuna's samplers, or CMA-ES, over W&B's space.

    An Optuna study is rebuilt from the trials so far for each suggestion.
    Failed trials count according to the metric's `impute`; running ones repel others (constant liar).
    """

    MOST_PROPOSALS = 50

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:
        super().__init__(plan, allow_repeats)
        assert plan.metric is not None  # W&B's schema requires a metric for bayes
        self._metric = plan.metric
        self._trials: dict[int, PastTrial] = {}
        self._best: dict[int, float] = {}  # the best value of each, as there may be many thousands
        self._frozen: dict[int, optuna.trial.FrozenTrial] = {}  # Optuna's trials; creating them is half the work
        self._axes = {parameter.name: _Axis.of(parameter) for parameter in self.space.searchable}
        check_sampler(plan.sampler)
        self._evolution = Evolution(plan.seed, STARTUP_TRIALS) if plan.sampler == "cmaes" else None

    def suggest(self, number: int) -> Suggestion | None:
        if self.all_tried:
            return None
        modelled = self._modelled()
        ended = sum(trial.state != "running" for trial in modelled)
        for draw in range(self.MOST_PROPOSALS if ended >= STARTUP_TRIALS and self._axes else 0):
            point = self._propose(modelled, number, draw)
            if self.may_try(point):
                how = {"sampler": self.plan.sampler, **self._made_by(), "rests_on": ended, "draw": draw + 1}
                return Suggestion(point, {"bayes": how})
        return super().suggest(number)

    def tell(self, trial: PastTrial) -> None:
        super().tell(trial)
        self._trials[trial.number] = trial
        self._best[trial.number] = best_value(trial, self._metric.sign)

    def _made_by(self) -> dict[str, Any]:
        package = "cmaes" if self._evolution is not None else "optuna"
        settings = TPE_SETTINGS if self.plan.sampler == "tpe" else {}
        return {package: importlib.metadata.version(package), **settings}

    def _modelled(self) -> list[PastTrial]:
        """The trials for the model: all, or if there are very many the best and an even sample of the others."""
        trials = [self._trials[number] for number in sorted(self._trials)]
        if len(trials) <= MOST_MODELLED:
            return trials
        running = [trial for trial in trials if trial.state == "running"]
        ended = [trial for trial in trials if trial.state != "running"]
        ended.sort(key=lambda trial: self._best[trial.number])
        room = max(1, MOST_MODELLED - len(running))
        best, others = ended[: room // 4], ended[room // 4 :]
        step = max(1, -(-len(others) // max(1, room - len(best))))
        return sorted([*running, *best, *others[::step]], key=lambda trial: trial.number)

    def _propose(self, modelled: Sequence[PastTrial], number: int, draw: int) -> Point:
        if self._evolution is None:
            params = self._ask_optuna(modelled, number, draw)
            return self.space.point(lambda parameter: self._axes[parameter.name].value(params[parameter.name]))
        # All trials, not a selection: its generations are consecutive.
        trials = [self._trials[known] for known in sorted(self._trials)]
        told = [
            (tuple(axis.parameter.share_of(value) for axis, value in self._placed(trial.point)), value)
            for trial, value in self._observed(trials)
            if value is not None
        ]
        shares = dict(zip(self._axes, self._evolution.ask(told, number, draw), strict=True))
        return self.space.sample(shares.__getitem__)

    def _placed(self, point: Point) -> list[tuple["_Axis", Any]]:
        values = self.space.values_of(point)
        return [(axis, values[name]) for name, axis in self._axes.items()]

    def _ask_optuna(self, trials: Sequence[PastTrial], number: int, draw: int) -> dict[str, Any]:
        import optuna
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        distributions = {name: axis.distribution for name, axis in self._axes.items()}
        seeded: dict[str, Any] = {
            "seed": (self.plan.seed * 1_000_003 + number * 1_009 + draw) % 2**32,
            "n_startup_trials": STARTUP_TRIALS,
        }
        sampler = (
            optuna.samplers.GPSampler(**seeded, deterministic_objective=False)
            if self.plan.sampler == "gp"
            else optuna.samplers.TPESampler(**seeded, **TPE_SETTINGS)
        )
        study = optuna.create_study(sampler=sampler)
        for trial, value in self._observed(trials):
            state = TrialState.RUNNING if value is None else TrialState.COMPLETE
            known = self._frozen.get(trial.number)
            if known is None or (known.state, known.value) != (state, value):
                params = {axis.parameter.name: axis.coordinate(value) for axis, value in self._placed(trial.point)}
                known = optuna.trial.create_trial(params=params, distributions=distributions, value=value, state=state)
                # A study copies each trial to number it; as nothing else changes, a shallow copy is enough.
                known.__deepcopy__ = lambda _memo, known=known: copy.copy(known)  # type: ignore[attr-defined]
                self._frozen[trial.number] = known
            study.add_trial(known)
        return study.ask(distributions).params

    def _observed(self, trials: Sequence[PastTrial]) -> list[tuple[PastTrial, float | None]]:
        """Trials with their value, to be minimised, None while it is not final."""
        return list(zip(trials, observed_values(self._metric, trials), strict=True))


@dataclass(frozen=True)
class _Axis:
    """A parameter for Optuna.

    Lists and few integers are passed as they are, everything else as its share of the distribution, from 0 to 1, so
    that all of W&B's distributions are sampled exactly. (With many integers, TPE would take half its time to weigh
    each.)
    """

    parameter: Parameter
    distribution: "optuna.distributions.BaseDistribution"
    is_whole: bool = False

    @classmethod
    def of(cls, parameter: Parameter) -> "_Axis":
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        settings = parameter.settings
        if parameter.is_categorical:
            return cls(parameter, CategoricalDistribution(tuple(range(len(settings["values"])))))
        if parameter.distribution == "int_uniform" and settings["max"] - settings["min"] < FEW_NUMBERS:
            return cls(parameter, IntDistribution(int(settings["min"]), int(settings["max"])), True)
        return cls(parameter, FloatDistribution(0.0, 1.0))

    def coordinate(self, value: Any) -> Any:
        if self.parameter.is_categorical:
            shares = [self.parameter.cdf(one) for one in self.parameter.settings["values"]]
            return shares.index(self.parameter.cdf(value))
        if self.is_whole:
            return int(value)
        return self.parameter.share_of(value)

    def value(self, coordinate: Any) -> Any:
        if self.parameter.is_categorical:
            return self.parameter.settings["values"][coordinate]
        if self.is_whole:
            return int(coordinate)
        return self.parameter.value_at(coordinate)


def check_sampler(name: str) -> None:
    """Checks that a sampler can be used. Raises SpecError: it is unknown, or its package is not installed."""
    if name not in SAMPLERS:
        raise SpecError(f"unknown sampler '{name}'. Known: {', '.join(SAMPLERS)}.")
    package = _NEEDED_PACKAGES.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        raise SpecError(f"the sampler '{name}' needs the package {package}: pip install {package}. 'tpe' needs none.")
