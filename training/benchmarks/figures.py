"""Figures of benchmarks: a ratio of two medians, and the table they are printed in."""

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


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


def print_figures(figures: Sequence[Figure]) -> None:
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    header = ("what", "ours", "baseline", "ratio", "goal", "")
    rows = [
        (
            figure.what,
            f"{figure.ours:,.4g} {figure.unit}",
            f"{figure.baseline:,.4g} {figure.unit}",
            f"{figure.ratio:.3f}",
            figure.goal,
            "met" if figure.met else "NOT MET",
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
