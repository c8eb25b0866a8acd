"""A sweep's trials as an Optuna study: parameter importance, and a file for optuna-dashboard."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.sweeps.file.config import Metric
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.search.base import PastTrial
from training.sweeps.search.observations import encode

if TYPE_CHECKING:
    import optuna

# More trials do not help, and a forest over ten thousand takes minutes.
_MOST_WEIGHED = 500


def parameter_importance(space: ParameterSpace, metric: Metric, trials: Sequence[PastTrial]) -> dict[str, float]:
    """The share of the metric's variance explained by each parameter, largest first; empty for too few trials.

    Values are represented by their share of the parameter's distribution, listed ones by their index: so a long list is
    one axis for a tree, not one per value.

    Source: Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance"
    (functional ANOVA of a random forest), as implemented by Optuna.
    """
    finished = [trial for trial in trials if trial.values and trial.state in ("finished", "stopped")]
    if len(finished) < 4 or not space.searchable:
        return {}
    import optuna
    from optuna.distributions import FloatDistribution
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    axes = {parameter.name: FloatDistribution(0.0, 1.0) for parameter in space.searchable}
    study = optuna.create_study(direction=metric.goal)
    for trial in finished[:: -(-len(finished) // _MOST_WEIGHED)]:
        shares = dict(zip(axes, encode(space, trial.point), strict=True))
        study.add_trial(create_trial(params=shares, distributions=dict(axes), value=metric.best(trial.values)))
    try:
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
    except (ValueError, RuntimeError):  # all values equal
        return {}
    return {name: float(share) for name, share in found.items()}


def study_of(
    space: ParameterSpace, metric: Metric, trials: Sequence[PastTrial], storage: str | None = None, name: str = ""
) -> "optuna.Study":
    """Trials as an Optuna study of their actual values, in the storage of a URL or in memory, for optuna-dashboard."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=name or None, storage=storage, direction=metric.goal)
    points = [space.values_of(trial.point) for trial in trials]
    axes: dict[str, BaseDistribution] = {}
    for parameter in space.searchable:
        values = [point[parameter.name] for point in points if point.get(parameter.name) is not None]
        if not parameter.is_categorical and values and all(isinstance(value, (int, float)) for value in values):
            axes[parameter.name] = FloatDistribution(float(min(values)), float(max(values)))
        else:
            axes[parameter.name] = CategoricalDistribution(tuple(dict.fromkeys(map(str, values))) or ("-",))
    states = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "running": TrialState.RUNNING}
    for trial, point in zip(trials, points, strict=True):
        state = states.get(trial.state, TrialState.FAIL)
        if state == TrialState.COMPLETE and not trial.values:
            state = TrialState.FAIL
        params = {
            name: float(point[name]) if isinstance(axis, FloatDistribution) else str(point[name])
            for name, axis in axes.items()
            if point.get(name) is not None
        }
        distributions = {name: axes[name] for name in params}
        value = metric.best(trial.values) if state in (TrialState.COMPLETE, TrialState.PRUNED) else None
        reports = dict(enumerate(trial.values, start=1))
        study.add_trial(
            create_trial(
                params=params, distributions=distributions, value=value, state=state, intermediate_values=reports
            )
        )
    return study
