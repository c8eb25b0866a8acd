"""Evolution: covariance matrix adaptation (CMA-ES), as a function of its seed and of the trials so far."""

import hashlib
import importlib
from collections.abc import Sequence
from typing import Any

# Of the side of the unit cube; a tenth of the first suggestions are further than 0.4 from the mean.
FIRST_SPREAD = 0.25

Told = tuple[tuple[float, ...], float]


class Evolution:
    """Suggests points of the unit cube. With the same trials it suggests the same, even after a restart.

    Optuna's own sampler stores the strategy's state in a study; a study that is rebuilt from its trials loses it.

    Args:
        startup: number of trials before the first generation; the best of them is its mean.
    Source: Hansen (2016), "The CMA Evolution Strategy: A Tutorial", as implemented by the package cmaes.
    """

    def __init__(self, seed: int, startup: int) -> None:
        self._seed = seed
        self._startup = startup
        self._strategy: Any = None
        self._told: list[Told] = []

    def ask(self, trials: Sequence[Told], number: int, draw: int) -> tuple[float, ...]:
        """The next point to try.

        Args:
            trials: (point, value to be minimised) of ended trials, in the order of their numbers; at least as many as
                precede the first generation.
            number, draw: number and draw of the suggestion.
        """
        self._tell(list(trials))
        self._strategy.reseed_rng(self._seed_of(f"{number}/{draw}"))
        return tuple(map(float, self._strategy.ask()))

    def _tell(self, trials: list[Told]) -> None:
        """Tells whole generations; if a trial ended late, or its value has changed, all are told again."""
        if self._strategy is None or trials[: len(self._told)] != self._told:
            self._told = trials[: self._startup]
            self._begin_at_the_best()
        while len(trials) - len(self._told) >= (size := self._strategy.population_size):
            generation = trials[len(self._told) : len(self._told) + size]
            self._told += generation
            import numpy as np

            self._strategy.tell([(np.array(point), value) for point, value in generation])
            if self._strategy.should_stop():  # it has converged
                self._begin_at_the_best()

    def _begin_at_the_best(self) -> None:
        import numpy as np

        mean, _ = min(self._told, key=lambda told: told[1])
        cmaes: Any = importlib.import_module("cmaes")  # an optional package
        bounds = np.array([[0.0, 1.0]] * len(mean))
        self._strategy = cmaes.CMA(np.array(mean), FIRST_SPREAD, bounds, seed=self._seed_of("strategy"))

    def _seed_of(self, what: str) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self._seed}/{what}".encode(), digest_size=4).digest())
