"""StoppingRule: decides which runs of a sweep to stop early, by the reports of all runs."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Goal = Literal["minimize", "maximize"]


class Decision(ABC):
    """A rule's decision about one run.

    Args:
        stop: end the run at its next checkpoint.
        pause: interrupt it there; it continues when the rule no longer says so.
        band: the position of the run in the rule; a decision is recorded when this changes. None: no decision yet.
    """

    stop: bool
    pause: bool = False
    band: Any

    @abstractmethod
    def explain(self, metric: str) -> str:
        """One sentence for a log or a table."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """The basis of the decision, as plain JSON, for the sweep's journal."""


class StoppingRule(ABC):
    """Decides by the values that runs have reported, independent of the order in which they arrived.

    Args:
        goal: goal of the metric.
        Further arguments of a subclass's constructor come from `--stopping-rule NAME:KEY=VALUE,…`.
    """

    @abstractmethod
    def report(self, run_id: str, values: Iterable[Any]) -> None:
        """Adds values of the metric logged by a run; values that are not finite numbers are ignored."""

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Removes a run's values: it starts over, or its file was repaired."""

    @abstractmethod
    def decide(self, run_id: str) -> Decision:
        """Whether to stop a run, based on all reports so far."""

    @abstractmethod
    def describe(self) -> str:
        """The rule in one sentence, for a dry run."""
