"""Draws learning curves in the terminal. The only file that uses plotext."""

import shutil
import string
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from text_recognizer.errors import SpecError
from training.files.json_objects import is_finite

USUAL_METRICS = ("val_accuracy", "val_character_error_rate", "val_loss")
LINES = 16


def draw_curves(rows_by_run: Mapping[str, Sequence[Mapping[str, Any]]], metric: str | None = None) -> str:
    """One curve per run, by epoch; empty before a second epoch is reported. Raises SpecError: no run has the metric.

    Curves are distinguished by colours on a terminal, elsewhere by letters.

    Args:
        rows_by_run: reports of metrics.jsonl by run id.
        metric: the metric; None uses the first common one.
    """
    import plotext

    reported = {name for rows in rows_by_run.values() for row in rows for name in row}
    if metric is not None and metric not in reported:
        raise SpecError(f"no run reports '{metric}'. Reported: {', '.join(sorted(reported)) or 'nothing yet'}.")
    chosen = metric or next((name for name in USUAL_METRICS if name in reported), None)
    if chosen is None:
        return ""
    curves = {run_id: points for run_id, rows in rows_by_run.items() if (points := _points(rows, chosen))}
    if all(len(points) < 2 for points in curves.values()):
        return ""
    coloured = sys.stdout.isatty()
    figure = plotext.figure
    figure.clear()
    figure.theme("clear")
    figure.plot_size(min(shutil.get_terminal_size().columns, 100), LINES)
    figure.title(f"{chosen} by epoch")
    figure.legend(active=False)
    legend = []
    for letter, (run_id, points) in zip(string.ascii_uppercase * len(curves), curves.items(), strict=False):
        alone = len(curves) == 1
        signal = figure.signal(*zip(*points, strict=True), marker="braille" if alone else letter)
        if coloured or alone:
            signal.lines()
        figure.draw(signal)
        legend += [] if alone else [f"{letter} {run_id}"]
    drawn = str(figure.build())
    return "\n".join([drawn if coloured else plotext.uncolorize(drawn), *legend])


def _points(rows: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[metric]) for row in rows if is_finite(row.get("epoch")) and is_finite(row.get(metric))]
