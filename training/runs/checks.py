"""What the files of a run must hold to be worked with. Each check says what is wrong, or None."""

import math
from collections.abc import Mapping
from typing import Any

from text_recognizer.wording import received
from training.files.json_objects import is_number

STATES = ("created", "running", "finished", "stopped", "failed", "preempted")
_LAST_SECOND = 2.5e11  # in the year 9892: a date can have no year above 9999
_MOST = 10**9


def status_fault(value: Mapping[str, Any]) -> str | None:
    """Of status.json."""
    if value.get("state") not in STATES:
        return f"'state' must be one of {', '.join(STATES)}. {received(value.get('state'))}"
    times, summary = value.get("times", {}), value.get("summary", {})
    if not isinstance(times, dict) or not all(is_time(moment) for moment in times.values()):
        return f"'times' must hold seconds since 1970. {received(times)}"
    if not isinstance(summary, dict) or not all(one is None or is_number(one) for one in summary.values()):
        return f"'summary' must hold numbers. {received(summary)}"
    for key in ("error", "cause"):
        if not isinstance(value.get(key), str | None):
            return f"'{key}' must be text or null. {received(value[key])}"
    counts = [value.get(name, 0) for name in ("epoch", "epochs")]
    return None if all(map(is_count, counts)) else f"'epoch' and 'epochs' must be whole numbers. {received(counts)}"


def spec_fault(value: Mapping[str, Any]) -> str | None:
    """Of spec.json, as far as tables need it."""
    for key in ("dataset", "model", "network"):
        if not isinstance(value.get(key), str):
            return f"'{key}' must be a name. {received(value.get(key))}"
    for key in ("dataset_args", "model_args", "network_args", "train_args"):
        if not isinstance(value.get(key, {}), dict):
            return f"'{key}' must be an object. {received(value[key])}"
    return None


def launch_fault(value: Mapping[str, Any]) -> str | None:
    """Of launch.json."""
    attempts = value.get("attempts")
    if not isinstance(attempts, list) or not all(isinstance(attempt, dict) for attempt in attempts):
        return f"'attempts' must be a list of objects. {received(attempts)}"
    for attempt in attempts:
        devices = attempt.get("devices", [])
        if not isinstance(devices, list) or not all(isinstance(device, str) for device in devices):
            return f"'devices' must be a list of names. {received(devices)}"
    return None


def report_fault(row: Mapping[str, Any]) -> str | None:
    """Of a line of metrics.jsonl."""
    if not is_count(row.get("epoch", 0)):
        return f"'epoch' must be a whole number. {received(row['epoch'])}"
    wrong = next((name for name, value in row.items() if isinstance(value, (dict, list))), None)
    return None if wrong is None else f"'{wrong}' must be a number. {received(row[wrong])}"


def is_reported(value: Any) -> bool:
    """Whether a value of a report is one; NaN and infinity are as good as null."""
    return not isinstance(value, float) or math.isfinite(value)


def is_time(value: Any) -> bool:
    """Whether a value is a moment in seconds since 1970 that a date can show."""
    return is_number(value) and 0 <= value < _LAST_SECOND


def is_count(value: Any) -> bool:
    """Whether a value is a whole number that something can have been counted to."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
