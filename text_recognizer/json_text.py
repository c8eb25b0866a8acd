"""JSON from outside, with bounds."""

import json
from typing import Any

MOST_NESTED = 64


def parse_json_text(text: str) -> Any:
    """
    Raises:
        ValueError: it is no JSON, nested too deeply, or holds an integer of thousands of digits; says why.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it holds a number of thousands of digits") from None
    if _depth(value) > MOST_NESTED:
        raise ValueError("it is nested too deeply")
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= MOST_NESTED:
        depth, level = depth + 1, [below for one in level for below in _below(one)]
    return depth


def _below(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
