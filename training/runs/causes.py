"""Cause: why a run ended, as data. The accompanying text is for people; no code parses it."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Cause(StrEnum):
    """Why a run was stopped or failed.

    When a sweep resumes, it also resumes runs that were `interrupted` or `preempted`, but none that was asked to stop.
    A run that its sweep `paused` continues when it is among the best of those that reached the same point.
    """

    ASKED = "asked"
    INTERRUPTED = "interrupted"
    EARLY_TERMINATION = "early_termination"
    PAUSED = "paused"
    AGENT = "agent"
    PREEMPTED = "preempted"
    REFUSED = "refused"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    FULL_DISK = "full_disk"
    BROKEN_DEVICE = "broken_device"
    CRASHED = "crashed"


# Error texts of versions before `cause` for runs that were stopped only because their driver was.
_EARLIER_INTERRUPTIONS = ("the sweep was interrupted", "interrupted (Ctrl-C)", "interrupted twice (Ctrl-C)")


def known_cause(value: Any) -> Cause | None:
    """A cause from JSON; None if only a newer version knows it."""
    return Cause(value) if value in tuple(Cause) else None


def cause_of_status(status: Mapping[str, Any]) -> Cause | None:
    """The cause in a status.json of this version or of an earlier one."""
    if "cause" in status:
        return known_cause(status["cause"])
    was_interrupted = status.get("state") == "stopped" and status.get("error") in _EARLIER_INTERRUPTIONS
    return Cause.INTERRUPTED if was_interrupted else None


class StopRequest(NamedTuple):
    """The file stop_request: the reason in its first line, then {"cause": …}. Plain text alone means `asked`."""

    reason: str
    cause: Cause = Cause.ASKED

    def to_text(self) -> str:
        return " ".join(self.reason.split()) + "\n" + json.dumps({"cause": self.cause}) + "\n"

    @classmethod
    def parse(cls, text: str) -> "StopRequest":
        """Parses a request; any text is one."""
        reason, _, rest = text.strip().rpartition("\n")
        try:
            cause = known_cause(json.loads(rest)["cause"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return cls(text.strip() or "asked to")
        return cls(reason.strip() or "asked to", cause or Cause.ASKED)
