"""JSON from outside, with bounds."""

import json
from typing import Any

MOST_NESTED = 64


def parse_json_text(text: str, **hooks: Any) -> Any:
    """Parses JSON. Raises ValueError: it is not JSON, nested too deeply, or has too long an integer.

    Args:
        hooks: of json.loads.
    """
    try:
        value = json.loads(text, **hooks)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it holds a number of thousands of digits") from None
    if text.count("[") + text.count("{") > MOST_NESTED and is_too_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def is_too_deep(value: Any) -> bool:
    """Whether a value is nested in more than MOST_NESTED levels."""
    depth, level = 0, [value]
    while level and depth <= MOST_NESTED:
        depth, level = depth + 1, [below for one in level for below in values_in(one)]
    return depth > MOST_NESTED


def values_in(value: Any) -> list[Any]:
    """The values in an object or a list; empty for anything else."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
