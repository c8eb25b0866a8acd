"""Common parts of all benchmarks: measurement, table, temporary folders."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from training.terminal.tables import print_table


@dataclass(frozen=True)
class Figure:
    """Medians in `unit`, and the target of the ratio ours / baseline, for example "<= 0.1"."""

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


def medians(rounds: int, *measurements: Callable[[], Any]) -> Any:
    """The median of each measurement, of one number or several; interleaved, so that a slow minute affects all."""
    return np.median([[measure() for measure in measurements] for _ in range(rounds)], axis=0).tolist()


def seconds(action: Callable[[], object]) -> float:
    """Duration of an action."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def last_number(code: str, *arguments: str) -> float:
    """The last number that a Python program prints."""
    return float(python("-c", code, *arguments).split()[-1])


def python(*arguments: str, exit_code: int = 0) -> str:
    """The output of a Python process."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder for the data and runs of this process and its children, within the block."""
    with tempfile.TemporaryDirectory() as folder:
        places = {f"TEXT_RECOGNIZER_{name}": f"{folder}/{name.lower()}" for name in ("DATA", "RUNS", "STATE")}
        with patch.dict(os.environ, places):
            yield Path(folder)


def own_cpu_s() -> float:
    """Processor time of this process and of the children it waited for."""
    return sum(sum(resource.getrusage(kind)[:2]) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, *kinds: str) -> float:
    """Memory of a process by a key of /proc/PID/smaps_rollup, like Rss or Pss; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in kinds) * 1024 / 1e6
