"""Random search."""

from text_recognizer.errors import SpecError
from training.sweeps.search.base import PointSearch, Suggestion


class RandomSearch(PointSearch):
    """Trial n is a function of the sweep's seed and n. In a finite space no point is repeated, unless allowed."""

    MOST_DRAWS = 1_000

    def suggest(self, number: int) -> Suggestion | None:
        if self.all_tried:
            return None
        seed = self.plan.seed
        for draw in range(self.MOST_DRAWS):
            # Each number has its own sequence of draws, independent of those of others.
            point = self.space.random_point(seed, number + draw * 2**40)
            if self.may_try(point):
                return Suggestion(point, {"random": {"seed": seed, "trial": number, "draw": draw + 1}})
        return self._any_left(number)

    def _any_left(self, number: int) -> Suggestion | None:
        """When almost everything was tried: the first untried point of the grid, if there is a grid."""
        try:
            left = next(filter(self.may_try, self.space.grid), None)
        except SpecError:
            return None
        return None if left is None else Suggestion(left, {"left_over": number})
