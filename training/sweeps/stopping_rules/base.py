"""StoppingRule: which runs of a sweep are not worth going on with, by what all of them have reported."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Goal = Literal["minimize", "maximize"]


class Decision(ABC):
    """A rule's decision about one run.

    Args:
        stop: end the run at its next checkpoint.
        pause: interrupt it there; it goes on when the rule no longer says so.
        band: where the run stands by the rule; a decision is written down when this changes. None: nothing to say yet.
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
        """What the decision is based on, as plain JSON, for the sweep's journal."""


class StoppingRule(ABC):
    """Decides from the values that runs have reported, never from the order in which they arrived.

    Args:
        goal: of the metric.
        Further arguments of a subclass's constructor are what stands after its name in
        `--stopping-rule NAME:KEY=VALUE,…`.
    """

    @abstractmethod
    def report(self, run_id: str, values: Iterable[Any]) -> None:
        """Adds values of the metric as a run logged them; what is not a finite number does not count."""

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Takes a run's values back: it starts over, or its file was repaired."""

    @abstractmethod
    def decide(self, run_id: str) -> Decision:
        """Whether to stop a run, based on all reports so far."""

    @abstractmethod
    def describe(self) -> str:
        """The rule in one sentence, for a dry run."""
