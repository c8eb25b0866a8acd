"""How long a test waits: until something is true, with a limit that only a hang or a defect can reach."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A process that takes 6 s on a quiet machine has taken a minute on a crowded one; waiting longer costs a test that
# passes nothing.
PATIENCE_S = 300.0


def wait_until(condition: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What the condition says once that is true in Python's sense.

    Raises:
        AssertionError: It did not become true in ``patience_s`` seconds.
    """
    until = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < until, f"it did not become true in {patience_s:g} s"
        time.sleep(0.01)
    return value
