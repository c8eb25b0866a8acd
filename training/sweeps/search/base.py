"""Search: the ask/tell interface, and points that need not be tried again."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from text_recognizer.errors import SpecError
from text_recognizer.named_part import NamedPart
from text_recognizer.wording import received
from training.sweeps.file.parameter import Point
from training.sweeps.plan import SweepPlan
from training.sweeps.stopping_rules.base import StoppingRule


@dataclass(frozen=True)
class PastTrial:
    """A trial in the form for searches.

    Args:
        number: counted from 1.
        point: as suggested, without changes by a run.
        state: finished, stopped, failed, or running while its value is not final.
        values: reported values of the metric, in order (means over seeds).
        folders: folders of its runs.
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
    """For trial number n it must give the same suggestion whenever it was told the same results.

    Args:
        plan: plan of the sweep: its space, seed, metric and points to try first.
        allow_repeats: a point may be suggested again.
        Further arguments of a subclass's constructor come from `--search NAME:KEY=VALUE,…`.

    Attributes:
        excludes: flags of run_sweep, as attributes, that do not apply to it.
        size: required number of trials; None for any number.
        stopping_rule: its own rule, replacing the file's.
    """

    excludes: Sequence[str] = ()
    size: int | None = None
    stopping_rule: StoppingRule | None = None

    @abstractmethod
    def __init__(self, plan: SweepPlan, allow_repeats: bool = False) -> None: ...

    @abstractmethod
    def ask(self, number: int) -> Suggestion | None:
        """The next suggestion; None if there is none left, or none yet."""

    @abstractmethod
    def tell(self, trial: PastTrial) -> None:
        """Reports the current state of a trial; a later call replaces an earlier one."""

    def pause_after(self, number: int) -> int | None:  # noqa: ARG002 - most let trials run
        """The epoch of a trial that starts now after which it pauses, and keeps its weights for others."""
        return None


def asked(search: Search, plan: SweepPlan, number: int) -> Suggestion | None:
    """What a search suggests. Raises SpecError: it is no Suggestion, or lacks a parameter."""
    found: Any = search.ask(number)
    if found is None:
        return None
    must = f"search '{type(search).__name__}': ask() must return a Suggestion"
    if not isinstance(found, Suggestion) or not all(isinstance(one, Mapping) for one in (found.point, found.how)):
        raise SpecError(f"{must}, of a point and a reason that are both dicts, or None. {received(found)}")
    space = plan.config.space if plan.config is not None and not plan.conditions else None
    if space is not None and space.point_key(found.point) is None:
        names = ", ".join(one.name for one in space.searchable)
        raise SpecError(f"{must} with a value for each of: {names}. {received(found.point)}")
    return found


def make_search(plan: SweepPlan, allow_repeats: bool = False) -> Search:
    """The search of a sweep's plan. Raises SpecError: it is unknown, or needs a missing package.

    Args:
        allow_repeats: let random and bayes suggest the same point again.
    """
    part = NamedPart.parse("search", plan.search or plan.method)
    return cast(Search, part.make(plan=plan, allow_repeats=allow_repeats))


class PointSearch(Search):
    """A search over a space, with points to try first and tried points; points are equal if their overrides are."""

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
        """Whether no point of a finite space is left."""
        points = None if self.allow_repeats else self.space.distinct_points
        return points is not None and len(self._tried) >= points

    def _key(self, point: Point) -> Hashable:
        if not self.plan.conditions:
            return self.space.point_key(point)
        return repr(sorted(self.plan.overrides(point).items(), key=lambda item: item[0]))
