"""The search that a sweep's plan asks for."""

from typing import cast

from text_recognizer.named_part import NamedPart
from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import Search


def make_search(plan: SweepPlan, allow_repeats: bool = False) -> Search:
    """
    Args:
        allow_repeats: random and bayes may suggest a point again.
    Raises:
        SpecError: there is no such search, or it needs a package that is not installed.
    """
    part = NamedPart.parse("search", plan.search or plan.method)
    return cast(Search, part.make(plan=plan, allow_repeats=allow_repeats))
