"""Early termination: W&B's hyperband rule, which stops runs that are worse than most at the same number of reports.

The rule is asynchronous successive halving with a single bracket. A band is a number of reports of the metric. At the
last band a run has reached, its value is compared with a threshold: the value at place int(n / eta) of the n runs that
have reached that band, best first. Worse than the threshold means stop; an equal value stays.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from annotated_types import Ge, Gt

from text_recognizer.errors import SpecError
from text_recognizer.wording import counted
from training.sweeps.numbers import is_finite
from training.sweeps.stopping_rules.base import Decision, Goal, StoppingRule

_BANDS_FROM_MIN_ITER = 100
_MOST_BANDS = 100_000


@dataclass(frozen=True)
class HyperbandDecision(Decision):
    """What the rule says about one run, and what that rests on.

    Args:
        reports: how many usable values of the metric the run has reported.
        band: the last band it has reached; None before the first.
        value: what was compared: the value at the band when strict, else the best so far.
        threshold: infinitely bad where no run has reached the band.
        runs_at_band: how many runs have reached the band, this one among them.
    """

    stop: bool
    reports: int
    band: int | None = None
    value: float | None = None
    threshold: float | None = None
    runs_at_band: int = 0
    first_band: int = 1
    goal: Goal = "minimize"
    eta: float = 3
    strict: bool = True

    @property
    def facts(self) -> dict[str, Any]:
        names = ("value", "threshold", "runs_at_band", "reports")
        return {name: getattr(self, name) for name in names}

    def explain(self, metric: str = "the metric") -> str:
        """One sentence for a log or a table."""
        if self.band is None:
            return f"kept: {counted(self.reports, 'report')} of {metric}, the first band is at {self.first_band}"
        compared = f"{metric} at band {self.band}" if self.strict else f"the best {metric} so far (band {self.band})"
        verdict, negation = ("stopped", "") if self.stop else ("kept", "not ")
        side = "above" if self.goal == "minimize" else "below"
        place = threshold_index(self.runs_at_band, self.eta) + 1
        rests_on = f"place {place} of {counted(self.runs_at_band, 'run')} that reached it, eta {self.eta:g}"
        return f"{verdict}: {compared} is {self.value:g}, {negation}{side} {self.threshold:g} ({rests_on})"


@dataclass(frozen=True)
class Hyperband:
    """The rule with its settings; `max_iter` wins over `min_iter`.

    Args:
        min_iter: the first band; each next one is eta times as far.
        max_iter: the bands lie at max_iter / eta, / eta^2, ... down to 1, at most s of them.
        strict: compare the value at the band itself; otherwise the best value so far, which stops fewer runs.
    """

    min_iter: float | None = None
    max_iter: float | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = True
    goal: Goal = "minimize"

    @classmethod
    def from_config(cls, early_terminate: Mapping[str, Any], goal: Goal = "minimize") -> "Hyperband":
        """From the section of a sweep, checked before."""
        settings = {key: value for key, value in early_terminate.items() if key != "type"}
        return cls(**settings, goal=goal)

    @cached_property
    def bands(self) -> tuple[int, ...]:
        """Ascending; the same number may come twice."""
        return bands_of(self.min_iter, self.max_iter, self.s, self.eta)

    def band_at(self, reports: int) -> int | None:
        """The last band within a number of reports."""
        reached = bisect_right(self.bands, reports)
        return self.bands[reached - 1] if reached else None

    def threshold(self, band: int, histories: Iterable[Sequence[float]]) -> float:
        """What a run must not be worse than at a band; infinitely bad where no run has reached it."""
        return self._threshold(sorted(self._sign * history[band - 1] for history in histories if len(history) >= band))

    def decide(self, history: Sequence[float], histories: Iterable[Sequence[float]]) -> HyperbandDecision:
        """Whether to stop a run.

        Args:
            history: its usable values, in the order they were reported (see `usable_values`).
            histories: those of all runs in any state, this run among them.
        """
        band = self.band_at(len(history))
        if band is None:
            return self.decision(len(history), None, None, [])
        at_band = sorted(self._sign * other[band - 1] for other in histories if len(other) >= band)
        compared = history[band - 1] if self.strict else self._sign * min(self._sign * value for value in history)
        return self.decision(len(history), band, compared, at_band)

    def decision(
        self, reports: int, band: int | None, value: float | None, at_band: Sequence[float]
    ) -> HyperbandDecision:
        """The decision from what it rests on.

        Args:
            at_band: the values of all runs at the band, negated when the goal is to maximize, ascending.
        """
        if band is None or value is None:
            return HyperbandDecision(
                False, reports, first_band=self.bands[0], goal=self.goal, eta=self.eta, strict=self.strict
            )
        threshold = self._threshold(at_band)
        return HyperbandDecision(
            stop=self._sign * value > self._sign * threshold,
            reports=reports,
            band=band,
            value=value,
            threshold=threshold,
            runs_at_band=len(at_band),
            first_band=self.bands[0],
            goal=self.goal,
            eta=self.eta,
            strict=self.strict,
        )

    def describe(self, most: int = 6) -> str:
        """The rule in one sentence, for a dry run and the sweep's log."""
        shown = ", ".join(f"{band:,}" for band in list(dict.fromkeys(self.bands))[:most])
        more = ", ..." if len(dict.fromkeys(self.bands)) > most else ""
        compared = "its value there" if self.strict else "its best value so far"
        return (
            f"hyperband: after {shown}{more} reports a run stops when {compared} is worse than that of the best "
            f"1/{self.eta:g} of the runs ({'strict' if self.strict else 'not strict'}, {self.goal})"
        )

    @property
    def _sign(self) -> int:
        return -1 if self.goal == "maximize" else 1

    def _threshold(self, at_band: Sequence[float]) -> float:
        return self._sign * (at_band[threshold_index(len(at_band), self.eta)] if at_band else math.inf)


class HyperbandTable(StoppingRule):
    """W&B's hyperband: a run stops where its metric is worse than that of most runs at the same number of reports.

    Kept up to date as runs report: a run is judged in microseconds however many there are. A decision depends only on
    what was reported, not on the order in which runs did so.
    """

    def __init__(
        self,
        goal: Goal = "minimize",
        min_iter: Annotated[float, Ge(1)] | None = None,
        max_iter: Annotated[float, Ge(1)] | None = None,
        s: Annotated[int, Ge(1)] | None = None,
        eta: Annotated[float, Gt(1)] = 3,
        strict: bool = True,
    ) -> None:
        if (min_iter is None) == (max_iter is None or s is None):
            raise SpecError("stopping rule 'hyperband' needs either min_iter, or max_iter and s.")
        self._use(Hyperband(min_iter, max_iter, s, eta, strict, goal))

    @classmethod
    def of(cls, rule: Hyperband) -> "HyperbandTable":
        """With the settings of a sweep's file."""
        table = cls.__new__(cls)
        table._use(rule)
        return table

    def describe(self) -> str:
        return self.rule.describe()

    def _use(self, rule: Hyperband) -> None:
        self.rule = rule
        self._sign = -1 if rule.goal == "maximize" else 1
        self._bands = frozenset(rule.bands)
        self._progress: dict[str, _Progress] = {}
        self._at_band: dict[int, list[float]] = {}

    def report(self, run_id: str, values: Iterable[Any]) -> None:
        """Adds values of the metric as a run logged them; what is not a finite number does not count."""
        progress = self._progress.setdefault(run_id, _Progress())
        for value in usable_values(values):
            signed = self._sign * value
            progress.reports += 1
            progress.best = min(progress.best, signed)
            if progress.reports in self._bands:
                progress.at_band[progress.reports] = signed
                insort(self._at_band.setdefault(progress.reports, []), signed)

    def forget(self, run_id: str) -> None:
        """Takes a run's values back: it starts over, or its file was repaired."""
        progress = self._progress.pop(run_id, _Progress())
        for band, signed in progress.at_band.items():
            values = self._at_band[band]
            del values[bisect_right(values, signed) - 1]

    def decide(self, run_id: str) -> HyperbandDecision:
        """Whether to stop a run, from all reports so far."""
        progress = self._progress.get(run_id, _Progress())
        band = self.rule.band_at(progress.reports)
        if band is None:
            return self.rule.decision(progress.reports, None, None, [])
        signed = progress.at_band[band] if self.rule.strict else progress.best
        return self.rule.decision(progress.reports, band, self._sign * signed, self._at_band[band])


@dataclass
class _Progress:
    reports: int = 0
    best: float = math.inf
    at_band: dict[int, float] = field(default_factory=dict)


def usable_values(values: Iterable[Any]) -> list[float]:
    """The values that count as reports: finite numbers; not NaN, infinity, true, text or null."""
    return [value for value in values if is_finite(value)]


def threshold_index(runs: int, eta: float) -> int:
    """The place, counted from 0, of the threshold among runs sorted best first."""
    return int((1.0 / eta) * runs)  # not runs / eta: the product's rounding decides ties, and W&B's is this


def bands_of(min_iter: float | None, max_iter: float | None, s: int | None, eta: float) -> tuple[int, ...]:
    """The bands of a rule, ascending; none when max_iter is too small.

    Raises:
        OverflowError: a band is beyond what a float can hold, or there are more than 100,000.
    """
    bands: list[int] = []
    if max_iter is not None:
        band = max_iter
        for _ in range(s or 0):
            band /= eta
            if band < 1:
                break
            bands.append(int(band))
            if len(bands) > _MOST_BANDS:
                raise OverflowError("too many bands")
        return tuple(sorted(bands))
    assert min_iter is not None, "a checked rule has min_iter or max_iter"
    band = min_iter
    for _ in range(_BANDS_FROM_MIN_ITER):
        bands.append(int(band))
        band *= eta
    return tuple(bands)
