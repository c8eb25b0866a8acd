"""When two values are the same value to a sweep, although Python or JSON would spell them differently."""

import math
from collections.abc import Hashable
from typing import Any


def value_key(value: Any) -> Hashable:
    """A key that is equal for values W&B's grid search takes for one: 1 and 1.0, mappings in any order, NaN and NaN.

    1, true and '1' stay apart, also inside lists and mappings.
    """
    if isinstance(value, float):
        if math.isnan(value):
            return ("float", "nan")
        if value.is_integer():
            value = int(value)
    if isinstance(value, dict):
        return ("dict", frozenset((value_key(key), value_key(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(value_key(item) for item in value))
    return (type(value).__name__, value)
