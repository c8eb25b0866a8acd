"""What all benchmarks share: how figures are measured, the table they are printed in, folders of their own."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from training.terminal.tables import print_table


@dataclass(frozen=True)
class Figure:
    """Medians in `unit`, and what the ratio ours / baseline should be, for example "<= 0.1"."""

    what: str
    ours: float
    baseline: float
    unit: str
    goal: str = "<= 1"

    def cells(self) -> list[str]:
        ratio = self.ours / self.baseline
        sign, bound = self.goal.split()
        met = ratio <= float(bound) if sign == "<=" else ratio >= float(bound)
        sides = [f"{value:,.4g} {self.unit}" for value in (self.ours, self.baseline)]
        return [self.what, *sides, f"{ratio:.3f}", self.goal, "met" if met else "NOT MET"]


def print_figures(figures: Sequence[Figure]) -> None:
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print_table(["what", "ours", "baseline", "ratio", "goal", ""], [figure.cells() for figure in figures])


def medians(rounds: int, *measurements: Callable[[], float]) -> list[float]:
    """The median of each measurement; they take turns, so that a slow minute of the machine hits all of them."""
    taken = [[measure() for measure in measurements] for _ in range(rounds)]
    return [statistics.median(values) for values in zip(*taken, strict=True)]


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def python(*arguments: str, exit_code: int = 0) -> str:
    """What a Python process prints."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder, in which this process and those it starts keep their data and runs meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        places = {f"TEXT_RECOGNIZER_{name}": f"{folder}/{name.lower()}" for name in ("DATA", "RUNS")}
        with patch.dict(os.environ, places):
            yield Path(folder)


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, *kinds: str) -> float:
    """Memory of a process by lines of /proc/PID/smaps_rollup, like Rss or Pss; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in kinds) * 1024 / 1e6
