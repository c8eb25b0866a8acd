"""What a line of a sweep's journal must hold to be worked with."""

from collections.abc import Callable, Mapping
from typing import Any

from text_recognizer.wording import received
from training.files.journals import Check
from training.runs.checks import STATES
from training.sweeps.file.parameter import Point

_OVER = ("finished", "stopped", "failed")
_MOST_TRIALS = 10**7


def _is_number_of_a_trial(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_TRIALS


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_name(value: Any) -> bool:
    """Whether a value can be the name of a folder in the sweep's."""
    return _is_path(value) and 0 < len(value) < 200 and "/" not in value and not value.startswith(".")


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_name, value)) and len(set(value)) == len(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


_RUN_OF_TRIAL: dict[str, Callable[[Any], bool]] = {"trial": _is_number_of_a_trial, "run": _is_name}
# By kind of event: what its keys hold. Other kinds and further keys are of a newer version, and are passed over.
_NEEDED: dict[str, dict[str, Callable[[Any], bool]]] = {
    "suggest": {"trial": _is_number_of_a_trial, "point": _is_object, "how": _is_object, "runs": _are_names},
    "reuse": {**_RUN_OF_TRIAL, "folder": _is_path},
    "start": _RUN_OF_TRIAL,
    "retry": _RUN_OF_TRIAL,
    "end": {**_RUN_OF_TRIAL, "state": (*STATES, "died").__contains__},
    "decision": {**_RUN_OF_TRIAL, "stop": _is_flag, "text": _is_text},
    "over": {"why": _is_text, "complete": _is_flag},
}
_OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "failure": _is_text_or_null,
    "error": _is_text_or_null,
    "cause": _is_text_or_null,
    "resources": _is_object,
    "over": _is_flag,
}


def any_point(_: Point) -> None:
    """Takes every point, where nobody knows what the sweep is of."""


def event_check(point_fault: Callable[[Point], str | None] = any_point) -> Check:
    """A check for one reading of a journal: a trial is suggested once, and no two have a run in common.

    Args:
        point_fault: why a point is none of the sweep.
    """
    trials: set[int] = set()
    runs: set[str] = set()

    def check(event: Mapping[str, Any]) -> str | None:
        fault = _fault(event)
        if fault is not None or event["event"] != "suggest":
            return fault
        if event["trial"] in trials:
            return f"trial {event['trial']} was suggested before"
        if not runs.isdisjoint(event["runs"]):
            return f"trial {event['trial']} has the run of another one"
        fault = point_fault(event["point"])
        if fault is None:
            trials.add(event["trial"])
            runs.update(event["runs"])
        return fault

    return check


def _fault(event: Mapping[str, Any]) -> str | None:
    kind = event.get("event")
    if not isinstance(kind, str):
        return f"'event' must be the name of an event. {received(kind)}"
    needed = _NEEDED.get(kind, {})
    optional = {name: right for name, right in _OPTIONAL.items() if name in event} if kind == "end" else {}
    for name, right in {**needed, **optional}.items():
        if not right(event.get(name)):
            return f"'{name}' of the event '{kind}' is wrong. {received(event.get(name))}"
    if kind == "end" and event.get("over") and event["state"] not in _OVER:
        return f"'state' of an end must be one of {', '.join(_OVER)}. {received(event['state'])}"
    return None
