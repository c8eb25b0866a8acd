"""Grid search, in W&B's order."""

from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, Search, SeenPoints, Suggestion


class GridSearch(Search):
    """W&B's grid: every point once, in W&B's order. A point that failed counts as tried; the sweep retries runs."""

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:  # noqa: ARG002 - each point is there once
        assert plan.config is not None
        self._grid = plan.config.space.grid
        self._enqueued = plan.enqueued
        self._seen = SeenPoints(plan)
        self._next_rank = 0

    def ask(self, number: int) -> Suggestion | None:
        if number <= len(self._enqueued):
            return Suggestion(self._enqueued[number - 1], {"enqueued": number})
        while self._next_rank < self._grid.size:
            point = self._grid[self._next_rank]
            if point not in self._seen:
                return Suggestion(point, {"grid_point": self._next_rank + 1, "of": self._grid.size})
            self._next_rank += 1
        return None

    def tell(self, trial: PastTrial) -> None:
        self._seen.add(trial.number, trial.point)
