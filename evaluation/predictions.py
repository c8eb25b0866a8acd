"""Reading the rows of predictions.jsonl."""

import math
from collections.abc import Mapping
from typing import Any

from text_recognizer.wording import received


def prediction_fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a row, or None."""
    position = row.get("position")
    if type(position) is not int or not 0 <= position < 10**9:
        return f"'position' must be the number of a sample. {received(position)}"
    for name in ("label", "predicted"):
        if not isinstance(row.get(name), str):
            return f"'{name}' must be text. {received(row.get(name))}"
    for name in ("loss", "confidence", "char_errors"):
        if isinstance(row.get(name), bool) or not isinstance(row.get(name), int | float | None):
            return f"'{name}' must be a number. {received(row[name])}"
    return None


def loss_of(row: Mapping[str, Any]) -> float:
    """The loss to rank rows by; infinite if it is missing or not finite."""
    loss = row.get("loss")
    return float(loss) if loss is not None and math.isfinite(loss) else math.inf


def errors_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Errors of a row, and their maximum: for a line in characters, otherwise 0 or 1 of 1."""
    if "char_errors" in row:
        return row["char_errors"], len(row["label"])
    return int(row["label"] != row["predicted"]), 1
