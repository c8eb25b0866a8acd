"""Asynchronous successive halving with promotion: runs pause at a rung, and the best of them continue."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt

from training.sweeps.stopping_rules.base import Goal, StoppingRule
from training.sweeps.stopping_rules.hyperband import Hyperband, HyperbandDecision


class SuccessiveHalving(StoppingRule):
    """Every run pauses at each rung unless it is among the best 1/eta of the runs that have reached it.

    A paused run continues from its checkpoint as soon as it is among them; W&B's hyperband stops runs permanently.

    Args:
        min_iter: reports of the metric up to the first rung; each further rung is at eta times as many.
        eta: one in eta runs continues.
    Source: Li et al. (2020), "A System for Massively Parallel Hyperparameter Tuning".
    """

    def __init__(
        self, goal: Goal = "minimize", min_iter: Annotated[float, Ge(1)] = 1, eta: Annotated[float, Gt(1)] = 3
    ) -> None:
        self._rungs = Hyperband(goal, min_iter=min_iter, eta=eta)

    def report(self, run_id: str, values: Iterable[Any]) -> None:
        self._rungs.report(run_id, values)

    def forget(self, run_id: str) -> None:
        self._rungs.forget(run_id)

    def decide(self, run_id: str) -> "RungDecision":
        at = self._rungs.decide(run_id)
        reached = (at.rule, False, at.reports, at.band, at.value)
        if at.band is None or at.value is None:
            return RungDecision(*reached)
        going_on = int(at.runs_at_band / at.rule.eta)
        threshold = self._rungs.value_at(at.band, going_on - 1) if going_on else None
        pause = threshold is None or self._rungs.sign * (at.value - threshold) > 0
        return RungDecision(*reached, threshold, at.runs_at_band, pause)

    def describe(self) -> str:
        rungs = ", ".join(f"{band:,}" for band in list(dict.fromkeys(self._rungs.bands))[:6])
        return (
            f"successive halving: after {rungs}, ... reports a run pauses; the best 1/{self._rungs.eta:g} of those "
            "that reached this point continue"
        )


@dataclass(frozen=True)
class RungDecision(HyperbandDecision):
    """The position of a run among those at its rung; threshold: the worst value that continues, None for too few."""

    pause: bool = False

    def explain(self, metric: str = "the metric") -> str:
        verdict, eta = "paused" if self.pause else "continues", self.rule.eta
        limit = "too few to compare" if self.threshold is None else f"the best 1/{eta:g} reach {self.threshold:g}"
        return f"{verdict}: {metric} at rung {self.band} is {self.value:g} (of {self.runs_at_band} there, {limit})"
