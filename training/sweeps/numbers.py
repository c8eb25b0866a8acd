"""Numbers in sweeps."""

from collections.abc import Iterable
from typing import Any

from training.files.json_objects import is_finite


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether JSON Schema calls a value an integer: 2 and 2.0, but not true."""
    return is_number(value) and (isinstance(value, int) or float(value).is_integer())


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def usable_values(values: Iterable[Any]) -> list[float]:
    """The values usable as reports of a metric: finite numbers; not NaN, infinity, true, text or null."""
    return [value for value in values if is_finite(value)]
