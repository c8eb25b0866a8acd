"""What a bayes search learns from the runs so far: points in the unit cube, and what each was worth.

The encoding, the choice of a run's value and the imputation of missing ones are W&B's, so that `impute` and
`impute_while_running` mean the same; docs/explanation/differences-from-wandb.md lists the defects mended
here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.sweeps.file.config import Metric
from training.sweeps.file.parameter import MISSING, look_up
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.search.base import PastTrial

# `stopped` is this project's: a run that was asked to stop and ended in order, as one that W&B sees finish.
_FINISHED = ("finished", "stopped")
_FAILED = ("failed", "crashed", "killed")


def observed_values(metric: Metric, trials: Sequence[PastTrial]) -> list[float | None]:
    """What each trial is worth, to be minimised: negated where the goal is to maximize; None while that is open.

    A finished trial counts with its best value. One that failed, or never reported the metric, is imputed: with its own
    best or latest value, or the worst value that any trial that has ended ever reported; with 0 where there is none.
    """
    ended = [trial for trial in trials if trial.state in (*_FINISHED, *_FAILED)]
    worst = max((metric.sign * value for trial in ended for value in trial.values), default=0.0)
    return [_value(trial, metric, worst) for trial in trials]


def best_value(trial: PastTrial, sign: int) -> float:
    """The lowest value, of the negated ones where `sign` is -1; infinite where there is none."""
    return min((sign * value for value in trial.values), default=math.inf)


def encode(space: ParameterSpace, point: Mapping[str, Any]) -> list[float]:
    """The shares of a point's values (see `Parameter.cdf`); what it lacks counts as 0, or as the first value listed."""
    row = []
    for parameter in space.searchable:
        value = look_up(point, parameter.path)
        if value is MISSING:
            value = parameter.settings["values"][0] if parameter.is_categorical else 0
        row.append(parameter.cdf(value))
    return row


def _value(trial: PastTrial, metric: Metric, worst: float) -> float | None:
    if trial.state in _FAILED:
        return _imputed(trial, metric.impute, metric.sign, worst)
    if trial.state in _FINISHED:
        strategy = metric.impute
    elif trial.state == "running" and metric.impute_while_running != "false":
        strategy = metric.impute_while_running
    else:
        return None
    return best_value(trial, metric.sign) if trial.values else _imputed(trial, strategy, metric.sign, worst)


def _imputed(trial: PastTrial, strategy: str, sign: int, worst: float) -> float:
    if strategy == "worst":
        return worst
    if not trial.values:
        return 0.0
    return sign * trial.values[-1] if strategy == "latest" else best_value(trial, sign)
