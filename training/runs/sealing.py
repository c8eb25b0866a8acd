"""Figures of the test split: which names are of it, rows without them, and a record of each look at one."""

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
    """Whether a metric is of the test split. Imported runs name theirs freely: any name with "test" in it counts."""
    return "test" in name.lower()


def without_test(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not is_test_figure(name)}


def sealed(row: RunRow) -> RunRow:
    """A run without its figures of the test split: what is shown, filtered and sorted of it does not know them."""
    return replace(row, status={**row.status, "summary": without_test(row.summary)})


def note_look(folder: Path, by: str, why: str) -> int:
    """Notes that a run's test figures are looked at; how often by now. Raises RunError: it cannot be written."""
    journal = open_journal(folder / LOOKS)
    try:
        append_line(journal, folder / LOOKS, {"time": round(time.time(), 3), "by": by, "why": why})
        sync_lines(journal, folder / LOOKS)
    finally:
        os.close(journal)
    return len(looks_at(folder))


def looks_at(folder: Path) -> list[dict[str, Any]]:
    """Every look at test figures of a run, the first first."""
    return read_journal(folder / LOOKS, _fault)


def looks_in_words(folder: Path) -> str | None:
    """How often test figures of a run were looked at, and why the last time; None for never."""
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
