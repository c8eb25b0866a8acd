"""Grid search, in W&B's order."""

from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PointSearch, Suggestion


class GridSearch(PointSearch):
    """W&B's grid: every point once, in W&B's order. Failed points count as tried; the sweep retries runs."""

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:  # noqa: ARG002 - each point exists once
        super().__init__(plan)
        self._next = 0

    def suggest(self, number: int) -> Suggestion | None:  # noqa: ARG002 - in order, for any number
        grid = self.space.grid
        while self._next < grid.size:
            if self.may_try(point := grid[self._next]):
                return Suggestion(point, {"grid_point": self._next + 1, "of": grid.size})
            self._next += 1
        return None
