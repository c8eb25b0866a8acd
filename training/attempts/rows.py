"""Reports of a training as metrics.jsonl holds them."""

import math
from typing import Any

Row = dict[str, Any]


def json_row(row: Row) -> Row:
    """A report as JSON holds it: NaN and infinity become null, since JSON has no such numbers."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
