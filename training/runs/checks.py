"""Checks of the files of a run. Each returns what is wrong, or None."""

import math
from collections.abc import Mapping
from typing import Any

from text_recognizer.wording import received
from training.files.json_objects import is_finite

STATES = ("created", "running", "finished", "stopped", "failed", "preempted")
LAST_SECOND = 2.5e11  # in the year 9892: Python's dates end in 9999
_MOST = 10**9


def status_fault(value: Mapping[str, Any]) -> str | None:
    """What is wrong with status.json."""
    if value.get("state") not in STATES:
        return f"'state' must be one of {', '.join(STATES)}. {received(value.get('state'))}"
    times, summary = value.get("times", {}), value.get("summary", {})
    if not isinstance(times, dict) or not all(is_time(moment) for moment in times.values()):
        return f"'times' must hold seconds since 1970. {received(times)}"
    if not isinstance(summary, dict) or not all(one is None or is_finite(one) for one in summary.values()):
        return f"'summary' must hold numbers. {received(summary)}"
    for key in ("error", "cause"):
        if not isinstance(value.get(key), str | None):
            return f"'{key}' must be text or null. {received(value[key])}"
    counts = [value.get(name, 0) for name in ("epoch", "epochs")]
    return None if all(map(is_count, counts)) else f"'epoch' and 'epochs' must be whole numbers. {received(counts)}"


def spec_fault(value: Mapping[str, Any]) -> str | None:
    """What is wrong with the parts of spec.json that tables need."""
    for key in ("dataset", "model", "network"):
        if not isinstance(value.get(key), str):
            return f"'{key}' must be a name. {received(value.get(key))}"
    wrong = [key for key in value if key.endswith("_args") and not isinstance(value[key], dict)]
    return f"'{wrong[0]}' must be an object. {received(value[wrong[0]])}" if wrong else None


def launch_fault(value: Mapping[str, Any]) -> str | None:
    """What is wrong with launch.json."""
    attempts = value.get("attempts")
    if not _is_list_of(attempts, dict):
        return f"'attempts' must be a list of objects. {received(attempts)}"
    lists = [(key, one.get(key, [])) for one in attempts or () for key in ("devices", "device_uuids")]
    wrong = next(((key, found) for key, found in lists if not _is_list_of(found, str)), None)
    return f"'{wrong[0]}' must be a list of names. {received(wrong[1])}" if wrong else None


def report_fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a line of metrics.jsonl."""
    if not is_count(row.get("epoch", 0)):
        return f"'epoch' must be a whole number. {received(row['epoch'])}"
    wrong = next((name for name, value in row.items() if isinstance(value, (dict, list))), None)
    return None if wrong is None else f"'{wrong}' must be a number. {received(row[wrong])}"


def as_reported(row: Mapping[str, Any]) -> dict[str, Any]:
    """A report for readers: NaN and infinity become null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def is_time(value: Any) -> bool:
    """Whether a value is a time in seconds since 1970 that can be a date."""
    return is_finite(value) and 0 <= value < LAST_SECOND


def is_count(value: Any) -> bool:
    """Whether a value is an integer that can be a count."""
    return type(value) is int and 0 <= value <= _MOST


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)
