"""Early termination: W&B's hyperband rule, which stops runs that are worse than most at the same number of reports.

The rule is asynchronous successive halving with a single bracket. A band is a number of reports of the metric. At the
last band a run has reached, its value is compared with a threshold: the value at index int(n / eta) of the n runs that
have reached that band, best first. A run with a worse value is stopped, one with an equal value is not.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt

from text_recognizer.errors import SpecError
from text_recognizer.wording import counted
from training.sweeps.numbers import usable_values
from training.sweeps.stopping_rules.base import Decision, Goal, StoppingRule

_BANDS_FROM_MIN_ITER = 100
_MOST_BANDS = 100_000


class Hyperband(StoppingRule):
    """W&B's hyperband: a run stops where its metric is worse than that of most runs at the same number of reports.

    Updated incrementally: a decision takes microseconds for any number of runs. It depends only on the reports, not on
    their order.

    Args:
        min_iter: the first band; each further band is eta times as far.
        max_iter: the bands lie at max_iter / eta, / eta^2, ... down to 1, at most s of them.
        s: maximum number of bands with max_iter.
        eta: about one in eta runs continues beyond a band.
        strict: compare the value at the band itself; otherwise the best value so far, which stops fewer runs.
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
        if (max_iter is None) != (s is None) or (min_iter is None) == (max_iter is None):
            raise SpecError("stopping rule 'hyperband' needs either min_iter, or max_iter and s.")
        self.goal = goal
        self.eta = eta
        self.strict = strict
        try:
            self.bands = bands_of(min_iter, max_iter, s, eta)  # ascending; a number may occur twice
        except OverflowError:
            raise SpecError(f"stopping rule 'hyperband' has bands too large or too many with eta {eta}.") from None
        if not self.bands:
            raise SpecError(
                f"stopping rule 'hyperband' has no band: max_iter {max_iter}, divided by eta {eta} up to s = {s} "
                "times, gives nothing of 1 or more. Increase max_iter, or s if it is below 1."
            )
        self.sign = -1 if goal == "maximize" else 1
        self._progress: dict[str, _Progress] = {}
        self._at_band: dict[int, list[float]] = {band: [] for band in self.bands}

    @classmethod
    def from_config(cls, early_terminate: Mapping[str, Any], goal: Goal = "minimize") -> "Hyperband":
        """From the checked section of a sweep; `max_iter` takes precedence over `min_iter`."""
        unused = ("type", "min_iter") if "max_iter" in early_terminate else ("type", "s")
        return cls(goal, **{key: value for key, value in early_terminate.items() if key not in unused})

    def report(self, run_id: str, values: Iterable[Any]) -> None:
        progress = self._progress.setdefault(run_id, _Progress())
        for value in usable_values(values):
            signed = self.sign * value
            progress.reports += 1
            progress.best = min(progress.best, signed)
            if progress.reports in self._at_band:
                progress.at_band[progress.reports] = signed
                insort(self._at_band[progress.reports], signed)

    def forget(self, run_id: str) -> None:
        for band, signed in self._progress.pop(run_id, _Progress()).at_band.items():
            values = self._at_band[band]
            del values[bisect_right(values, signed) - 1]

    def decide(self, run_id: str) -> "HyperbandDecision":
        progress = self._progress.get(run_id, _Progress())
        reached = bisect_right(self.bands, progress.reports)
        if not reached:
            return HyperbandDecision(self, False, progress.reports)
        band = self.bands[reached - 1]
        signed = progress.at_band[band] if self.strict else progress.best
        at_band = self._at_band[band]
        threshold = at_band[threshold_index(len(at_band), self.eta)]
        return HyperbandDecision(
            self, signed > threshold, progress.reports, band, self.sign * signed, self.sign * threshold, len(at_band)
        )

    def value_at(self, band: int, place: int) -> float:
        """A value of the runs that have reached a band; index 0 is the best."""
        return self.sign * self._at_band[band][place]

    def describe(self, most: int = 6) -> str:
        """The rule in one sentence, for a dry run and the sweep's log."""
        bands = list(dict.fromkeys(self.bands))
        shown = ", ".join(f"{band:,}" for band in bands[:most]) + (", ..." if len(bands) > most else "")
        compared = "its value there" if self.strict else "its best value so far"
        return (
            f"hyperband: after {shown} reports a run stops when {compared} is worse than that of the best "
            f"1/{self.eta:g} of the runs ({'strict' if self.strict else 'not strict'}, {self.goal})"
        )


@dataclass
class _Progress:
    reports: int = 0
    best: float = math.inf
    at_band: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class HyperbandDecision(Decision):
    """The decision about one run, and its basis.

    Args:
        reports: number of usable values of the metric that the run has reported.
        band: the last band it has reached; None before the first.
        value: the compared value: that at the band if strict, else the best so far.
        runs_at_band: number of runs that have reached the band, including this one.
    """

    rule: Hyperband = field(repr=False, compare=False)
    stop: bool
    reports: int
    band: int | None = None
    value: float | None = None
    threshold: float | None = None
    runs_at_band: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("value", "threshold", "runs_at_band", "reports")}

    def explain(self, metric: str = "the metric") -> str:
        rule = self.rule
        if self.band is None:
            return f"kept: {counted(self.reports, 'report')} of {metric}, the first band is at {rule.bands[0]}"
        compared = f"{metric} at band {self.band}" if rule.strict else f"the best {metric} so far (band {self.band})"
        verdict, negation = ("stopped", "") if self.stop else ("kept", "not ")
        side = "above" if rule.goal == "minimize" else "below"
        place = threshold_index(self.runs_at_band, rule.eta) + 1
        rests_on = f"place {place} of {counted(self.runs_at_band, 'run')} that reached it, eta {rule.eta:g}"
        return f"{verdict}: {compared} is {self.value:g}, {negation}{side} {self.threshold:g} ({rests_on})"


def threshold_index(runs: int, eta: float) -> int:
    """The index of the threshold among runs sorted best first."""
    return int((1.0 / eta) * runs)  # not runs / eta: rounding decides ties, and W&B computes this product


def bands_of(min_iter: float | None, max_iter: float | None, s: int | None, eta: float) -> tuple[int, ...]:
    """The bands, ascending; none for a small max_iter. Raises OverflowError: more than 100,000, or too large."""
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
