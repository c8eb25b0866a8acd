"""Speed in tests: of one way beside another, in processor time, so that other programs do not matter."""

import time
from collections.abc import Callable

ROUNDS = 2


def times_as_fast(ours: Callable[[], object], baseline: Callable[[], object]) -> float:
    """How many times the processor time of `ours` that of `baseline` is; both take turns, the fastest round counts."""
    taken: dict[Callable[[], object], list[float]] = {ours: [], baseline: []}
    for way in (ours, baseline):
        way()  # what is compiled on first use
    for _ in range(ROUNDS):
        for way, times in taken.items():
            started = time.process_time()
            way()
            times.append(time.process_time() - started)
    return min(taken[baseline]) / max(min(taken[ours]), 1e-9)
