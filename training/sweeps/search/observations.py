"""What a bayes search learns from the runs so far: points in the unit cube, and what each was worth.

The encoding, the choice of a run's value and the imputation of missing ones are W&B's, so that `impute` and
`impute_while_running` mean the same; docs/explanation/differences-from-wandb.md lists the defects mended
here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from training.sweeps.file.config import Metric
from training.sweeps.file.parameter import MISSING, look_up
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.numbers import usable_values

# `stopped` is this project's: a run that was asked to stop and ended in order, as one that W&B sees finish.
_FINISHED = ("finished", "stopped")
_FAILED = ("failed", "crashed", "killed")


@dataclass(frozen=True)
class PastRun:
    """A run of the sweep.

    Args:
        state: as W&B names it (finished, failed, crashed, killed, running, pending, preempting, preempted), or stopped.
        history: the metric's values in the order they were logged; only finite numbers count.
        summary: the metric's value in the run's summary, if it has one.
    """

    point: Mapping[str, Any]
    state: str
    history: Sequence[Any] = ()
    summary: Any = None

    @cached_property
    def values(self) -> list[float]:
        """The finite numbers of history and summary."""
        return usable_values([*self.history, self.summary])

    def best(self, sign: int) -> float:
        """The lowest value, of the negated ones where `sign` is -1; infinite where there is none."""
        return min((sign * value for value in self.values), default=math.inf)


def observed_values(metric: Metric, runs: Sequence[PastRun]) -> list[float | None]:
    """What each run is worth, to be minimised: negated where the goal is to maximize; None while that is open.

    A finished run counts with its best value. One that failed, or never reported the metric, is imputed: with its own
    best or latest value, or the worst value that any run that has ended ever reported; with 0 where there is none.
    """
    ended = [run for run in runs if run.state in (*_FINISHED, *_FAILED)]
    worst = max((-run.best(-metric.sign) for run in ended if run.values), default=0.0)
    return [_value(run, metric, metric.sign, worst) for run in runs]


def encode(space: ParameterSpace, point: Mapping[str, Any]) -> list[float]:
    """The shares of a point's values (see `Parameter.cdf`); what it lacks counts as 0, or as the first value listed."""
    row = []
    for parameter in space.searchable:
        value = look_up(point, parameter.path)
        if value is MISSING:
            value = parameter.settings["values"][0] if parameter.is_categorical else 0
        row.append(parameter.cdf(value))
    return row


def _value(run: PastRun, metric: Metric, sign: int, worst: float) -> float | None:
    if run.state in _FAILED:
        return _imputed(run, metric.impute, sign, worst)
    if run.state in _FINISHED:
        strategy = metric.impute
    elif run.state == "running" and metric.impute_while_running != "false":
        strategy = metric.impute_while_running
    else:
        return None
    return run.best(sign) if run.values else _imputed(run, strategy, sign, worst)


def _imputed(run: PastRun, strategy: str, sign: int, worst: float) -> float:
    if strategy == "worst":
        return worst
    if strategy == "latest":
        history = usable_values(run.history)
        return sign * history[-1] if history else 0.0
    return run.best(sign) if run.values else 0.0
