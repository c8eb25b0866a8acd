"""The observations of a bayes search: points in the unit cube, and their values.

The encoding, the choice of a run's value and the imputation of missing ones are W&B's, so that `impute` and
`impute_while_running` mean the same; docs/explanation/differences-from-wandb.md lists the defects that are fixed
here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.sweeps.file.config import Metric
from training.sweeps.file.parameter import MISSING, look_up
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.search.base import PastTrial

# `stopped` exists only here: a run that was stopped on request, which counts as finished for W&B.
_FINISHED = ("finished", "stopped")
_FAILED = ("failed", "crashed", "killed")


def observed_values(metric: Metric, trials: Sequence[PastTrial]) -> list[float | None]:
    """The value of each trial, to be minimised: negated if the goal is to maximize; None while it is not final.

    A finished trial has its best value. One that failed, or never reported the metric, is imputed: with its own best or
    latest value, or the worst value reported by any ended trial; with 0 if there is none.
    """
    ended = [trial for trial in trials if trial.state in (*_FINISHED, *_FAILED)]
    worst = max((metric.sign * value for trial in ended for value in trial.values), default=0.0)
    return [_value(trial, metric, worst) for trial in trials]


def best_value(trial: PastTrial, sign: int) -> float:
    """The lowest value, after multiplication by `sign`; infinite if there is none."""
    return min((sign * value for value in trial.values), default=math.inf)


def encode(space: ParameterSpace, point: Mapping[str, Any]) -> list[float]:
    """The shares of a point's values (see `Parameter.cdf`); missing ones count as 0, or as the first value listed."""
    row = []
    for parameter in space.searchable:
        value = look_up(point, parameter.path)
        if value is MISSING:
            value = parameter.settings["values"][0] if parameter.is_categorical else 0
        row.append(parameter.cdf(value))
    return row


def _value(trial: PastTrial, metric: Metric, worst: float) -> float | None:
    is_running = trial.state == "running" and metric.impute_while_running != "false"
    if not is_running and trial.state not in (*_FINISHED, *_FAILED):
        return None
    if trial.values and trial.state not in _FAILED:
        return best_value(trial, metric.sign)
    strategy = metric.impute_while_running if is_running else metric.impute
    if strategy == "worst":
        return worst
    if not trial.values:
        return 0.0
    return metric.sign * trial.values[-1] if strategy == "latest" else best_value(trial, metric.sign)
