"""Scorer: what else than the image speaks for a reading. A machine that walks along its characters."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

States = NDArray[np.int64]
Characters = NDArray[np.integer[Any]]
Scores = NDArray[np.float64]


class Scorer(Protocol):
    """Gives every text a score, character by character; larger is better, and none is above 0."""

    @property
    def start(self) -> int:
        """The state before the first character."""

    def step(self, states: States, characters: Characters) -> tuple[States, Scores]:
        """The states (N,) after one more character (N,) of class ids each, and what it adds to the score."""

    def finish(self, states: States) -> Scores:
        """(N,) what the end of the text adds to the score."""
