"""Which values of a sweep count as numbers."""

import math
import numbers
from collections.abc import Iterable
from typing import Any


def is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that fits a float: not NaN, not infinite, not an int of 400 digits."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:
        return False


def is_whole(value: Any) -> bool:
    """Whether JSON Schema calls a value an integer: 2 and 2.0, but not true."""
    return is_number(value) and (isinstance(value, int) or float(value).is_integer())


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def usable_values(values: Iterable[Any]) -> list[float]:
    """The values that count as reports of a metric: finite numbers; not NaN, infinity, true, text or null."""
    return [value for value in values if is_finite(value)]
