"""History: the trials of a sweep so far and their values, for the loop, tables, reports and commands."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError
from training.files.json_objects import version_of
from training.runs.run import Run
from training.sweeps.file.config import Metric
from training.sweeps.numbers import usable_values
from training.sweeps.search.base import PastTrial
from training.sweeps.trials import Trial, TrialRun

STATES = ("finished", "stopped", "pending", "failed")
# The metric in tables of a list of experiments, which has none.
USUAL_METRIC = Metric("val_loss")
# The version of a file of reports, its rows, and their values.
_Read = tuple[tuple[int, int], list[dict[str, Any]], list[float]]
_NOTHING: _Read = ((0, 0), [], [])


class History:
    """The trials of a sweep so far.

    Each ended trial is processed once for the best and the counts, as a sweep may have many thousands.

    Args:
        metric: metric of the sweep; the default if it has none.
        trials: by number. Further ones are added by `add`; ended ones do not change.
    """

    def __init__(self, metric: Metric | None, trials: Mapping[int, Trial]) -> None:
        self.metric = metric or USUAL_METRIC
        self.trials: dict[int, Trial] = {}
        self.next_number = 1  # the first free number: a journal may have lost a line in its middle
        self.reports = Reports(self.metric.name)
        self._final_values: dict[int, list[float]] = {}
        self._unfinished: dict[int, Trial] = {}
        self._over: Counter[str] = Counter()
        self._best: Trial | None = None
        for trial in trials.values():
            self.add(trial)

    def add(self, trial: Trial) -> None:
        self.trials[trial.number] = self._unfinished[trial.number] = trial
        while self.next_number in self.trials:
            self.next_number += 1

    def unfinished(self) -> list[Trial]:
        for trial in [trial for trial in self._unfinished.values() if trial.is_over]:
            del self._unfinished[trial.number]
            self._over[trial.state] += 1
            if trial.state == "finished" and (self._best is None or self.by_value(trial) < self.by_value(self._best)):
                self._best = trial
        return list(self._unfinished.values())

    def values(self, trial: Trial) -> list[float]:
        """The values of the metric that a trial has reported, in order."""
        if trial.number in self._final_values:
            return self._final_values[trial.number]
        # With several seeds: the mean for each report that all its runs have made.
        reported = zip(*(self.reports.update(run)[0] for run in trial.runs), strict=False)
        values = [sum(each) / len(each) for each in reported]
        first, *others = trial.runs
        if first.value is not None and not (values or others or first.folder.exists()):
            values = [first.value]
        if trial.is_over:
            self._final_values[trial.number] = values
        return values

    def value(self, trial: Trial) -> float | None:
        return self.metric.best(self.values(trial))

    def run_value(self, run: TrialRun) -> float | None:
        return self.metric.best(self.reports.update(run)[0])

    def best(self) -> Trial | None:
        """The best finished trial."""
        self.unfinished()
        return self._best if self._best is not None and self.value(self._best) is not None else None

    def ranked(self) -> list[Trial]:
        """Finished trials by value, then stopped, running and failed ones."""
        return sorted(self.trials.values(), key=lambda trial: (STATES.index(trial.state), *self.by_value(trial)))

    def by_value(self, trial: Trial) -> tuple[Any, ...]:
        """A sort key: best value first, those without a value last."""
        value = self.value(trial)
        return value is None, self.metric.sign * (value or 0.0), trial.number

    def counts(self) -> Counter[str]:
        """The number of trials in each state."""
        return Counter(trial.state for trial in self.unfinished()) + self._over

    def broken(self) -> list[Trial]:
        """Failed trials, except diverged ones, for which that is a result."""
        return [trial for trial in self.trials.values() if trial.state == "failed" and not trial.diverged]

    def past(self, trial: Trial) -> PastTrial:
        state = trial.state if trial.is_over or trial.state == "failed" else "running"
        folders = [run.folder for run in trial.runs]
        return PastTrial(trial.number, trial.point, state, self.values(trial), folders)


class Reports:
    """Reported values of one metric, read incrementally from the run folders.

    `damage`: unreadable reports, if any.
    """

    def __init__(self, metric: str) -> None:
        self.damage: str | None = None
        self._metric = metric
        self._read: dict[Path, _Read] = {}

    def update(self, run: TrialRun) -> tuple[list[float], bool]:
        """The usable values of a run so far, in order, and whether they have changed since the last call."""
        path = run.folder / "metrics.jsonl"
        seen = version_of(path)
        known, _, before = self._read.get(path, _NOTHING)
        if seen == known:
            return before, False
        try:
            rows = Run(run.folder).rows()
        except RunError as error:  # continue with the other runs
            self.damage, rows = str(error), []
        # One value per epoch: if a resumed run reported one again, the later one counts.
        by_epoch = {row.get("epoch"): row[self._metric] for row in rows if self._metric in row}
        values = usable_values(by_epoch.values())
        self._read[path] = (seen, rows, values)
        return values, values != before

    def epochs(self, run: TrialRun) -> int:
        """The number of epochs that a run has reported; a resumed run may report one again, with other numbers."""
        return len({row.get("epoch") for row in self.rows(run)})

    def rows(self, run: TrialRun) -> list[dict[str, Any]]:
        """All reports of a run, as last read."""
        self.update(run)
        return self._read.get(run.folder / "metrics.jsonl", _NOTHING)[1]
