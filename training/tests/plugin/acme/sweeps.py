"""A search, a stopping rule and an executor from outside."""

from typing import Annotated

from annotated_types import Ge

from training.executors.in_process import InProcessExecutor
from training.sweeps.search.base import Search, Suggestion
from training.sweeps.stopping_rules.base import Decision, StoppingRule


class Corners(Search):
    """The first and the last point of the grid, again and again.

    Args:
        rounds: how often.
    """

    def __init__(self, plan, allow_repeats=False, rounds: Annotated[int, Ge(1)] = 1) -> None:
        self.grid = plan.config.space.grid
        self.trials = 2 * rounds

    def ask(self, number):
        if number > self.trials:
            return None
        return Suggestion(self.grid[0 if number % 2 else self.grid.size - 1], {"corner": number % 2})

    def tell(self, trial): ...


class Told(Decision):
    """How many reports there are, and may be."""

    def __init__(self, reports, most):
        self.stop = reports >= most
        self.band = reports or None
        self.most = most

    @property
    def facts(self):
        return {"reports": self.band, "most": self.most}

    def explain(self, metric):
        return f"{self.band} reports of {metric}, at most {self.most}"


class Enough(StoppingRule):
    """Stops every run after some reports.

    Args:
        most: so many.
    """

    def __init__(self, goal="minimize", most: Annotated[int, Ge(1)] = 2) -> None:
        self.most = most
        self.reports: dict[str, int] = {}

    def report(self, run_id, values):
        self.reports[run_id] = self.reports.get(run_id, 0) + len(list(values))

    def forget(self, run_id):
        self.reports.pop(run_id, None)

    def decide(self, run_id):
        return Told(self.reports.get(run_id, 0), self.most)

    def describe(self):
        return f"enough after {self.most}"


class Here(InProcessExecutor):
    """In this process, and says so."""

    @classmethod
    def open(cls, setting):
        print("acme executes")
        return super().open(setting)
