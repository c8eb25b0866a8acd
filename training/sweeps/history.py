"""History: the trials of a sweep so far and what they are worth. The loop, tables, reports and commands read it."""

from collections import Counter
from typing import Any

from training.sweeps.file.config import Metric
from training.sweeps.search.base import PastTrial
from training.sweeps.trials import Reports, Trial, TrialRun, best_value, trial_values

STATES = ("finished", "stopped", "pending", "failed")
# A list of experiments names no metric; its tables show this one.
USUAL_METRIC = Metric("val_loss")


class History:
    """
    Args:
        metric: of the sweep; the usual one where it names none.
        trials: by number; the owner of the history adds to them.
    """

    def __init__(self, metric: Metric | None, trials: dict[int, Trial]) -> None:
        self.metric = metric or USUAL_METRIC
        self.trials = trials
        self.reports = Reports(self.metric.name)
        self._final_values: dict[int, list[float]] = {}

    def values(self, trial: Trial) -> list[float]:
        """What a trial has reported of the metric, in order."""
        if trial.number in self._final_values:
            return self._final_values[trial.number]
        values = trial_values([self.reports.update(run)[0] for run in trial.runs])
        if trial.is_over:
            self._final_values[trial.number] = values
        return values

    def value(self, trial: Trial) -> float | None:
        """What a trial is worth so far."""
        return best_value(self.values(trial), self.metric)

    def run_value(self, run: TrialRun) -> float | None:
        """What one run is worth so far."""
        return best_value(self.reports.update(run)[0], self.metric)

    def best(self) -> Trial | None:
        """The best trial that finished."""
        finished = (trial for trial in self.trials.values() if trial.state == "finished")
        best = min(finished, key=self.by_value, default=None)
        return best if best is not None and self.value(best) is not None else None

    def ranked(self) -> list[Trial]:
        """Finished trials by value, then stopped ones, those at work, and failed ones."""
        return sorted(self.trials.values(), key=lambda trial: (STATES.index(trial.state), *self.by_value(trial)))

    def by_value(self, trial: Trial) -> tuple[Any, ...]:
        """A sort key: the best value first, those without one last."""
        value = self.value(trial)
        sign = -1 if self.metric.goal == "maximize" else 1
        return value is None, sign * value if value is not None else 0.0, trial.number

    def counts(self) -> Counter[str]:
        """How many trials are in each state."""
        return Counter(trial.state for trial in self.trials.values())

    def broken(self) -> list[Trial]:
        """Trials that failed, but for those that diverged: that is a result."""
        return [trial for trial in self.trials.values() if trial.state == "failed" and not trial.diverged]

    def past(self, trial: Trial) -> PastTrial:
        """A trial as a search sees it."""
        state = trial.state if trial.is_over or trial.state == "failed" else "running"
        return PastTrial(trial.number, trial.point, state, self.values(trial))
