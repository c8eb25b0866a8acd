"""The search of a file of experiments."""

from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, Search, Suggestion


class ListSearch(Search):
    """The experiments of a file, in order."""

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:  # noqa: ARG002 - each is there once
        self._size = len(plan.experiments)

    def ask(self, number: int) -> Suggestion | None:
        return Suggestion({"experiment": number - 1}) if number <= self._size else None

    def tell(self, trial: PastTrial) -> None: ...
