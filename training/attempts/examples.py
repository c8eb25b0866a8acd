"""Example predictions while training: what a few validation samples are read as, for trackers to show."""

import os

from evaluation.evaluate import prediction_rows
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.experiment import Experiment
from training.files.journals import append_line, open_journal
from training.runs.run import Run
from training.tracking.examples import EXAMPLES, example_fault

COUNT = 4


def write_examples(run: Run, experiment: Experiment, epoch: int) -> None:
    """Appends the present readings of the same few validation samples, if it is their epoch."""
    every = experiment.train_args.examples_every
    if not every or epoch % every:
        return
    split = experiment.dataset.split("validation")
    journal = open_journal(run.folder / EXAMPLES, example_fault)
    try:
        for row in prediction_rows(experiment.model, split, evenly_chosen(len(split), COUNT)):
            append_line(journal, {"epoch": epoch, **row})
    finally:
        os.close(journal)
