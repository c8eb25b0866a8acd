"""Example predictions that a run wrote while it trained, with their images."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.predictions import prediction_fault
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


def read_examples(run: Run, epoch: int) -> Sequence[Mapping[str, Any]]:
    """The examples of one epoch, each with its "image" (H, W, C); where one is there twice, the later counts."""
    rows = [row for row in read_journal(run.folder / EXAMPLES, example_fault) if row["epoch"] == epoch]
    if not rows:
        return []
    split = assemble(run.spec).dataset.split("validation")
    by_position = {row["position"]: row for row in rows}
    return [{**row, "image": split.image(position)} for position, row in by_position.items()]
