"""Example predictions during training: readings of a few validation samples, with their images."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from evaluation.predictions import prediction_fault
from text_recognizer.datasets.base import Split
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.experiment import Experiment, assemble
from text_recognizer.wording import received
from training.files.journals import append_line, open_journal, read_journal
from training.runs.run import Run

EXAMPLES = "examples.jsonl"
COUNT = 4


def write_examples(run: Run, experiment: Experiment, epoch: int) -> None:
    """Appends the current readings of the same few validation samples, if due in this epoch."""
    from evaluation.evaluate import prediction_rows

    every = experiment.train_args.examples_every
    if not every or epoch % every:
        return
    split = experiment.dataset.split("validation")
    journal = open_journal(run.folder / EXAMPLES)
    try:
        for row in prediction_rows(experiment.model, split, evenly_chosen(len(split), COUNT)):
            append_line(journal, run.folder / EXAMPLES, {"epoch": epoch, **row})
    finally:
        os.close(journal)


def example_fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a row, or None."""
    epoch = row.get("epoch")
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        return f"'epoch' must be a whole number. {received(epoch)}"
    return prediction_fault(row)


class Examples:
    """The examples of a run, read incrementally."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def by_epoch(self) -> Mapping[int, Sequence[Mapping[str, Any]]]:
        """All rows so far; if a resumed run wrote one again, the later counts."""
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
        return assemble(self._run.spec, has_begun=True).dataset.split("validation")
