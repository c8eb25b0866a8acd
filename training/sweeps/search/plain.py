"""Searches that learn nothing from results: the experiments of a file, a grid, random points."""

from text_recognizer.errors import SpecError
from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, PointSearch, Search, Suggestion


class ListSearch(Search):
    """The experiments of a file, in order."""

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:  # noqa: ARG002 - each is there once
        self._size = len(plan.experiments)

    def ask(self, number: int) -> Suggestion | None:
        return Suggestion({"experiment": number - 1}) if number <= self._size else None

    def tell(self, trial: PastTrial) -> None: ...


class GridSearch(PointSearch):
    """W&B's grid: every point once, in W&B's order. A point that failed counts as tried; the sweep retries runs."""

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:  # noqa: ARG002 - each point is there once
        super().__init__(plan)
        self._next = 0

    def suggest(self, number: int) -> Suggestion | None:  # noqa: ARG002 - in order, whatever the number
        grid = self.space.grid
        while self._next < grid.size:
            if self.may_try(point := grid[self._next]):
                return Suggestion(point, {"grid_point": self._next + 1, "of": grid.size})
            self._next += 1
        return None


class RandomSearch(PointSearch):
    """Trial n is a function of the sweep's seed and n. In a finite space no point comes twice, unless asked to."""

    MOST_DRAWS = 1_000

    def suggest(self, number: int) -> Suggestion | None:
        if self.all_tried:
            return None
        seed = self.plan.seed
        for draw in range(self.MOST_DRAWS):
            # The draws of one number are a sequence of their own: how often others had to draw does not matter.
            point = self.space.random_point(seed, number + draw * 2**40)
            if self.may_try(point):
                return Suggestion(point, {"random": {"seed": seed, "trial": number, "draw": draw + 1}})
        return self._any_left(number)

    def _any_left(self, number: int) -> Suggestion | None:
        """Almost everything was tried: the first point of the grid that was not, where there is a grid."""
        try:
            left = next(filter(self.may_try, self.space.grid), None)
        except SpecError:
            return None
        return None if left is None else Suggestion(left, {"left_over": number})
