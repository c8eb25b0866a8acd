"""What a search is: asked for a trial, told of trials. And the points that need not be tried again."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.sweeps.file.parameter import Point
from training.sweeps.plan import SweepPlan


@dataclass(frozen=True)
class PastTrial:
    """A trial as the search sees it.

    Args:
        number: counted from 1.
        point: as it was suggested, never what a run made of it.
        state: finished, stopped, failed, or running while its value is open.
        values: what its runs reported of the metric, in order (means over seeds).
    """

    number: int
    point: Point
    state: str
    values: Sequence[float] = ()


@dataclass(frozen=True)
class Suggestion:
    """A point, and why this one.

    Args:
        how: for people and for `sweeps explain`; plain JSON.
    """

    point: Point
    how: Mapping[str, Any] = field(default_factory=dict)


class Search(ABC):
    """Asked for trial number n it must give the same answer whenever it was told the same.

    Args:
        plan: of the sweep: its space, seed, metric and points to try first.
        allow_repeats: a point may be suggested again.
        Further arguments of a subclass's constructor are what stands after its name in `--search NAME:KEY=VALUE,…`.
    """

    @abstractmethod
    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None: ...

    @abstractmethod
    def ask(self, number: int) -> Suggestion | None:
        """The next suggestion; None when there is none left, or none yet."""

    @abstractmethod
    def tell(self, trial: PastTrial) -> None:
        """What is known of a trial by now; a later word replaces an earlier one."""


class SeenPoints:
    """Points that need not be tried again; equal are those that lead to equal overrides."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._numbers: dict[Hashable, int] = {}

    def key(self, point: Point) -> Hashable:
        assert self._plan.config is not None
        key = self._plan.config.space.point_key(point)
        if not self._plan.conditions:
            return key
        return repr(sorted(self._plan.overrides(point).items(), key=lambda item: item[0]))

    def add(self, number: int, point: Point) -> None:
        self._numbers.setdefault(self.key(point), number)

    def __contains__(self, point: Point) -> bool:
        return self.key(point) in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)
