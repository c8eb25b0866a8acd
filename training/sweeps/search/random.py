"""Random search."""

from text_recognizer.errors import SpecError
from training.sweeps.search.base import PointSearch, Suggestion


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
