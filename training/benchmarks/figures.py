"""Figures of benchmarks: how they are measured, and the table they are printed in."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.terminal.tables import print_table


@dataclass(frozen=True)
class Figure:
    """One comparison.

    Args:
        ours, baseline: medians, in `unit`.
        goal: what the ratio ours / baseline should be, for example "<= 0.1".
    """

    what: str
    ours: float
    baseline: float
    unit: str
    goal: str

    @property
    def ratio(self) -> float:
        return self.ours / self.baseline

    @property
    def met(self) -> bool:
        sign, bound = self.goal.split()
        return self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)


def medians(rounds: int, *measurements: Callable[[], float]) -> list[float]:
    """The median of each measurement; they take turns, so that a slow minute of the machine hits all of them."""
    taken: list[list[float]] = [[] for _ in measurements]
    for _ in range(rounds):
        for values, measurement in zip(taken, measurements, strict=True):
            values.append(measurement())
    return [statistics.median(values) for values in taken]


def seconds(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long an action takes."""
    began = clock()
    action()
    return clock() - began


def python(arguments: Sequence[str], environ: Mapping[str, str] | None = None, exit_code: int = 0) -> str:
    """What a Python process prints; the environment is added to this process's."""
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout


def training_speed(spec: Mapping[str, Any], environ: Mapping[str, str]) -> float:
    """Images a second of the later epochs of run_experiment, once everything is compiled and started.

    Args:
        environ: names a runs folder that holds nothing else.
    """
    python(["-m", "training.run_experiment", json.dumps(spec), "--gpu=none", "--wandb=offline"], environ)
    newest = max(Path(environ["TEXT_RECOGNIZER_RUNS"]).glob("default/*/metrics.jsonl"))
    rows = [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]
    speeds = [row["images_per_s"] for row in rows if "images_per_s" in row]
    return float(statistics.median(speeds[len(speeds) // 2 :]))


def print_figures(figures: Sequence[Figure]) -> None:
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    rows = []
    for figure in figures:
        ours, baseline = f"{figure.ours:,.4g} {figure.unit}", f"{figure.baseline:,.4g} {figure.unit}"
        met = "met" if figure.met else "NOT MET"
        rows.append([figure.what, ours, baseline, f"{figure.ratio:.3f}", figure.goal, met])
    print_table(["what", "ours", "baseline", "ratio", "goal", ""], rows)
