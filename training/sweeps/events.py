"""Checks of the lines of a sweep's journal."""

from collections.abc import Callable, Mapping
from typing import Any

from text_recognizer.wording import received
from training.runs.checks import STATES
from training.sweeps.numbers import is_int

_OVER = ("finished", "stopped", "failed")
_MOST_TRIALS = 10**7
_Right = Callable[[Any], bool]


def _is(*kinds: type) -> _Right:
    return lambda value: isinstance(value, kinds)


def _is_trial(value: Any) -> bool:
    return is_int(value) and 1 <= value <= _MOST_TRIALS


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_name(value: Any) -> bool:
    """Whether a value can be the name of a folder in the sweep's folder."""
    return _is_path(value) and 0 < len(value) < 200 and "/" not in value and not value.startswith(".")


def _is_how(value: Any) -> bool:
    """Whether it is an object; for a copy, one with the old and new values of changes."""
    lineage = value.get("population", {}) if isinstance(value, dict) else None
    changed = lineage.get("changed", {}) if isinstance(lineage, dict) else None
    return isinstance(changed, dict) and all(isinstance(pair, list) for pair in changed.values())


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_name, value)) and len(set(value)) == len(value)


_RUN: dict[str, _Right] = {"trial": _is_trial, "run": _is_name}
# Types of keys by kind of event. Other kinds and further keys are of a newer version, and are ignored.
_NEEDED: dict[str, dict[str, _Right]] = {
    "suggest": {"trial": _is_trial, "point": _is(dict), "how": _is_how, "runs": _are_names},
    "reuse": {**_RUN, "folder": _is_path},
    "start": _RUN,
    "retry": _RUN,
    "end": {**_RUN, "state": (*STATES, "died").__contains__},
    "decision": {**_RUN, "stop": _is(bool), "text": _is(str)},
    "over": {"why": _is(str), "complete": _is(bool)},
}
_TEXT_OR_NULL = _is(str, type(None))
_OPTIONAL_OF_END: dict[str, _Right] = {
    **dict.fromkeys(("failure", "error", "cause"), _TEXT_OR_NULL),
    "resources": _is(dict),
    "over": _is(bool),
    "reports": is_int,
}


def event_fault(event: Mapping[str, Any]) -> str | None:
    kind = event.get("event")
    if not isinstance(kind, str):
        return f"'event' must be the name of an event. {received(kind)}"
    needed = _NEEDED.get(kind, {})
    optional = _OPTIONAL_OF_END.items() if kind == "end" else ()
    for name, right in (*needed.items(), *((name, right) for name, right in optional if name in event)):
        if not right(event.get(name)):
            return f"'{name}' of the event '{kind}' is wrong. {received(event.get(name))}"
    if kind == "end" and event.get("over") and event["state"] not in _OVER:
        return f"'state' of an end must be one of {', '.join(_OVER)}. {received(event['state'])}"
    return None
