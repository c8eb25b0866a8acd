"""Trainings of a few steps, each in a process of its own: TensorFlow keeps up to 300 MB of each that ends."""

import os
from pathlib import Path

from text_recognizer.tests.waiting import PATIENCE_S
from training.tests.warm_commands import Warm

# Optimising graphs takes longer than a few steps, and each weight of a language model is a search in every line.
_QUICKLY = """
import sys
import tensorflow as tf
from text_recognizer.decoding import tuning
from training.run_experiment import main

tf.config.optimizer.set_experimental_options({{"disable_meta_optimizer": True}})
tuning.LANGUAGE_WEIGHTS = tuning.WORD_WEIGHTS = (0.0, 1.0)
sys.exit(main({argv!r}))
"""


def run_quickly(warm: Warm, *argv: str) -> None:
    """Runs one experiment in the working folder, without W&B and GPUs; it must finish."""
    program = _QUICKLY.format(argv=[*argv, "--nowandb", "--gpu=none"])
    with open("printed.txt", "w+", encoding="utf-8") as printed:
        code = warm.start("example", program, cwd=Path.cwd(), env=os.environ, output=printed).wait(PATIENCE_S)
        printed.seek(0)
        assert code == 0, printed.read()
