"""Test metrics: their names, rows without them, and a record of each view."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_recognizer.wording import received
from training.files.journals import append_line, open_journal, read_journal, sync_lines
from training.files.processes import printable
from training.runs.checks import is_time
from training.runs.run_table import RunRow
from training.terminal.tables import shown

LOOKS = "test_looks.jsonl"


def is_test_figure(name: str) -> bool:
    """Whether a metric is of the test split. As names of imported runs vary, any name containing "test" counts."""
    return "test" in name.lower()


def without_test(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not is_test_figure(name)}


def sealed(row: RunRow) -> RunRow:
    """A run without its test metrics, so that they cannot be shown, filtered or sorted by."""
    status = {**row.status, "summary": without_test(row.summary)}
    return replace(row, status=status, reported=without_test(row.reported))


def note_look(folder: Path, by: str, why: str) -> int:
    """Records a view of a run's test metrics; returns the number of views. Raises RunError: it cannot be written."""
    journal = open_journal(folder / LOOKS)
    try:
        append_line(journal, folder / LOOKS, {"time": round(time.time(), 3), "by": by, "why": why})
        sync_lines(journal, folder / LOOKS)
    finally:
        os.close(journal)
    return len(looks_at(folder))


def looks_at(folder: Path) -> list[dict[str, Any]]:
    """All views of a run's test metrics, oldest first."""
    return read_journal(folder / LOOKS, _fault)


def looks_in_words(folder: Path) -> str | None:
    """The number of views of a run's test metrics, and the reason of the last one; None if there are none."""
    if not (looks := looks_at(folder)):
        return None
    last = looks[-1]
    return (
        f"{len(looks)}, the last {shown('created', last['time'])} by {printable(last['by'])}: {printable(last['why'])}"
    )


def _fault(row: Mapping[str, Any]) -> str | None:
    if is_time(row.get("time")) and isinstance(row.get("by"), str) and isinstance(row.get("why"), str):
        return None
    return f"'time' must be seconds since 1970, 'by' and 'why' text. {received(row)}"
