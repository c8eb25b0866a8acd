"""Random search."""

from text_recognizer.errors import SpecError
from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, Search, SeenPoints, Suggestion


class RandomSearch(Search):
    """Trial n is a function of the sweep's seed and n. In a finite space no point comes twice, unless asked to."""

    MOST_DRAWS = 1_000

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:
        assert plan.config is not None
        self._plan = plan
        self._space = plan.config.space
        self._enqueued = plan.enqueued
        self._allow_repeats = allow_repeats
        self._points = None if allow_repeats else self._space.distinct_points
        self._seen = SeenPoints(plan)

    def ask(self, number: int) -> Suggestion | None:
        if number <= len(self._enqueued):
            return Suggestion(self._enqueued[number - 1], {"enqueued": number})
        if self._points is not None and len(self._seen) >= self._points:
            return None
        for draw in range(self.MOST_DRAWS):
            # The draws of one number are a sequence of their own: how often others had to draw does not matter.
            point = self._space.random_point(self._plan.seed, number if draw == 0 else number + draw * 2**40)
            if self._allow_repeats or point not in self._seen:
                return Suggestion(point, {"random": {"seed": self._plan.seed, "trial": number, "draw": draw + 1}})
        return self._any_left(number)

    def tell(self, trial: PastTrial) -> None:
        self._seen.add(trial.number, trial.point)

    def _any_left(self, number: int) -> Suggestion | None:
        """Almost everything was tried: the first point of the grid that was not, where there is a grid."""
        try:
            grid = self._space.grid
        except SpecError:
            return None
        left = next((point for point in grid if point not in self._seen), None)
        return None if left is None else Suggestion(left, {"left_over": number})
