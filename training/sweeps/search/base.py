"""Search: asked for a trial, told of trials; and the points that need not be tried again."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from text_recognizer.named_part import NamedPart
from training.sweeps.file.parameter import Point
from training.sweeps.plan import SweepPlan
from training.sweeps.stopping_rules.base import StoppingRule


@dataclass(frozen=True)
class PastTrial:
    """A trial as the search sees it.

    Args:
        number: counted from 1.
        point: as it was suggested, never what a run made of it.
        state: finished, stopped, failed, or running while its value is open.
        values: what its runs reported of the metric, in order (means over seeds).
        folders: of its runs.
    """

    number: int
    point: Point
    state: str
    values: Sequence[float] = ()
    folders: Sequence[Path] = ()


@dataclass(frozen=True)
class Suggestion:
    """A point, and the reason for it: plain JSON for people and for `sweeps explain`."""

    point: Point
    how: Mapping[str, Any] = field(default_factory=dict)


class Search(ABC):
    """For trial number n it must give the same answer whenever it was told the same results.

    Args:
        plan: of the sweep: its space, seed, metric and points to try first.
        allow_repeats: a point may be suggested again.
        Further arguments of a subclass's constructor are what stands after its name in `--search NAME:KEY=VALUE,…`.

    Attributes:
        excludes: flags of run_sweep, as attributes, that have no meaning with it.
        size: trials that it needs in all; None where it makes the best of any number.
        stopping_rule: its own, in place of the file's.
    """

    excludes: Sequence[str] = ()
    size: int | None = None
    stopping_rule: StoppingRule | None = None

    @abstractmethod
    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None: ...

    @abstractmethod
    def ask(self, number: int) -> Suggestion | None:
        """The next suggestion; None when there is none left, or none yet."""

    @abstractmethod
    def tell(self, trial: PastTrial) -> None:
        """Reports what is known of a trial so far; a later call replaces an earlier one."""

    def pause_after(self, number: int) -> int | None:  # noqa: ARG002 - most let trials run
        """The epoch of its own at whose end a trial that starts now pauses, and keeps its weights for others."""
        return None


def make_search(plan: SweepPlan, allow_repeats: bool = False) -> Search:
    """The search that a sweep's plan asks for. Raises SpecError: it is unknown, or needs a missing package.

    Args:
        allow_repeats: let random and bayes suggest the same point again.
    """
    part = NamedPart.parse("search", plan.search or plan.method)
    return cast(Search, part.make(plan=plan, allow_repeats=allow_repeats))


class PointSearch(Search):
    """A search of a space: the points to try first, and those that were tried; equal are those of equal overrides."""

    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None:
        assert plan.config is not None
        self.plan = plan
        self.space = plan.config.space
        self.allow_repeats = allow_repeats
        self._tried = set[Hashable]()

    def ask(self, number: int) -> Suggestion | None:
        if number <= len(self.plan.enqueued):
            return Suggestion(self.plan.enqueued[number - 1], {"enqueued": number})
        return self.suggest(number)

    @abstractmethod
    def suggest(self, number: int) -> Suggestion | None:
        """The next suggestion after the points to try first."""

    def tell(self, trial: PastTrial) -> None:
        self._tried.add(self._key(trial.point))

    def may_try(self, point: Point) -> bool:
        return self.allow_repeats or self._key(point) not in self._tried

    @property
    def all_tried(self) -> bool:
        """Whether a finite space has no point left."""
        points = None if self.allow_repeats else self.space.distinct_points
        return points is not None and len(self._tried) >= points

    def _key(self, point: Point) -> Hashable:
        if not self.plan.conditions:
            return self.space.point_key(point)
        return repr(sorted(self.plan.overrides(point).items(), key=lambda item: item[0]))
