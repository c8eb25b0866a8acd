"""Example predictions that a run wrote while it trained, with their images."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from evaluation.predictions import prediction_fault
from text_recognizer.datasets.base import Split
from text_recognizer.experiment import assemble
from text_recognizer.wording import received
from training.files.journals import read_journal
from training.runs.run import Run

EXAMPLES = "examples.jsonl"


def example_fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a row; None when nothing is."""
    epoch = row.get("epoch")
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        return f"'epoch' must be a whole number. {received(epoch)}"
    return prediction_fault(row)


class Examples:
    """The examples of a run, read as they come."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def by_epoch(self) -> Mapping[int, Sequence[Mapping[str, Any]]]:
        """All rows so far; where a resumed run wrote one again, the later counts."""
        rows = read_journal(self._run.folder / EXAMPLES, example_fault)
        found: dict[int, dict[int, Mapping[str, Any]]] = {}
        for row in rows:
            found.setdefault(row["epoch"], {})[row["position"]] = row
        return {epoch: list(by_position.values()) for epoch, by_position in found.items()}

    def with_images(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The rows, each with its "image" (H, W, C) uint8."""
        return [{**row, "image": self._split.image(row["position"])} for row in rows]

    @cached_property
    def _split(self) -> Split:
        return assemble(self._run.spec).dataset.split("validation")
