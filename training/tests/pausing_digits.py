"""Digits on which a run pauses in the middle: what a test does to it then meets it there, however fast it is."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.base import CharacterSplit
from text_recognizer.datasets.characters.digits import DigitsDataset

PAUSING = f"{__name__}:PausingDigits"
_VARIABLE = "PAUSE_OF_PAUSING_DIGITS"


def pause(gate: Path, after: int = 1) -> dict[str, str]:
    """The environment of runs that validate so often, and not again before they are asked to stop or the gate is gone.

    Args:
        gate: a file that this makes; beside it, GATE.reached is there once a run waits.
    """
    gate.touch()
    return {_VARIABLE: f"{after} {gate}"}


class PausingDigits(DigitsDataset):
    """The digits, with the same samples in the same splits."""

    def split(self, name: SplitName) -> CharacterSplit:
        split = super().split(name)
        if name != "validation" or _VARIABLE not in os.environ:
            return split
        return _PausingSplit(split.stored_images, split.stored_labels, split.members, split.classes)


class _PausingSplit(CharacterSplit):
    _batches = 0

    def batch(self, positions: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
        if len(positions) < len(self):  # a look at some samples, not a validation
            return super().batch(positions)
        after, _, gate = os.environ[_VARIABLE].partition(" ")
        if self._batches >= int(after):
            Path(f"{gate}.reached").touch()
        watcher = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)  # a StopWatcher while a run is trained
        while self._batches >= int(after) and os.path.exists(gate) and not (watcher and watcher.stop()):
            time.sleep(0.01)
        self._batches += 1
        return super().batch(positions)
