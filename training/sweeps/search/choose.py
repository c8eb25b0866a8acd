"""The search that a sweep's plan asks for."""

from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import Search
from training.sweeps.search.bayes import BayesSearch
from training.sweeps.search.grid import GridSearch
from training.sweeps.search.list import ListSearch
from training.sweeps.search.random import RandomSearch


def make_search(plan: SweepPlan, allow_repeats: bool = False) -> Search:
    """
    Args:
        allow_repeats: random and bayes may suggest a point again.
    Raises:
        SpecError: the sampler needs a package that is not installed.
    """
    if plan.config is None:
        return ListSearch(len(plan.experiments))
    if plan.config.method == "grid":
        return GridSearch(plan)
    if plan.config.method == "random":
        return RandomSearch(plan, allow_repeats)
    return BayesSearch(plan, allow_repeats)
