"""What something costs, told so that how busy the machine is matters little: for comparing two sizes of one thing."""

import time
from collections.abc import Callable


def processor_s(work: Callable[[], object], tries: int = 3) -> float:
    """Processor time of this process, the least of a few tries."""

    def once() -> float:
        before = time.process_time()
        work()
        return time.process_time() - before

    return min(once() for _ in range(tries))
