"""text-recognizer forecast: estimate how many samples a target error rate needs."""

import argparse
import json
import math
from typing import Any

from evaluation.learning_curve import LearningCurve
from text_recognizer.errors import RunError, SpecError
from text_recognizer.wording import received
from training.commands.base import Command
from training.runs.checks import is_count
from training.runs.find import find_run
from training.terminal.parser import number

METRIC = "test_character_error_rate"
_PERCENT = 5.0  # no reader makes five errors per character, so larger numbers are percentages


class Forecast(Command):
    """Estimate how many samples a target error rate needs, from runs with different numbers of samples."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer forecast few-lines more-lines all-lines --wanted 0.1\n"
            "  text-recognizer forecast 16=0.52 64=0.41 256=0.3 --wanted 0.1"
        )
        add = parser.add_argument
        add("points", nargs="+", metavar="RUN", help="folder, id, start of an id, last; or SAMPLES=RATE")
        add("--wanted", type=number(float, 0.0001, 1), required=True, metavar="RATE", help="error rate, like 0.1")
        add("--metric", default=METRIC, help="metric to minimize (default: %(default)s)")
        add("--json", action="store_true", help="print one JSON object")
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    points = sorted(_point(text, arguments.metric) for text in arguments.points)
    curve = LearningCurve.fit(points)
    found = curve.needed(arguments.wanted)
    largest = points[-1][0]
    if arguments.json:
        described: dict[str, Any] = {
            "points": [{"samples": samples, "rate": rate} for samples, rate in points],
            "scale": curve.scale,
            "exponent": curve.exponent,
            "wanted": arguments.wanted,
            **{name: _whole(getattr(found, name)) for name in ("samples", "low", "high")},
            "more": _whole(max(0.0, found.samples - largest)),
        }
        print(json.dumps(described, indent=1))
        return 0
    for samples, rate in points:
        print(f"{samples:>10,}  {rate:.4f}  curve {curve.rate(samples):.4f}")
    print(f"curve       {curve.scale:.3g} * samples ^ -{curve.exponent:.3f}; each doubling: {2**-curve.exponent:.3f}")
    print(f"wanted      {arguments.wanted:g} needs {_shown(found.samples)} samples", end="")
    print(f" (95 % interval {_shown(found.low)} to {_shown(found.high)})")
    print(f"more        {_shown(max(0.0, found.samples - largest))} than the {largest:,} of the largest run")
    return 0


def _point(text: str, metric: str) -> tuple[int, float]:
    """Training samples and rate of a run, or from an argument."""
    samples, sign, rate = text.partition("=")
    if sign:
        try:
            point = int(samples), float(rate)
        except ValueError:
            point = 0, 0.0
        if point[1] >= _PERCENT:
            raise SpecError(f"an error rate must be a fraction like 64=0.31, not a percentage. {received(text)}")
        return _checked(point, text)
    run = find_run(text)
    recorded = run.read_json("environment.json").get("samples") if run.has("environment.json") else None
    count = recorded.get("train") if isinstance(recorded, dict) else None
    value = run.status().summary.get(metric)
    if not isinstance(value, (int, float)):
        raise RunError(f"run {run.id} has no {metric}. Take a finished run, or another --metric.")
    if count is None or not is_count(count):
        raise RunError(f"run {run.id} did not record how many samples it had. Give SAMPLES={value:.4f} instead.")
    return _checked((count, float(value)), text)


def _checked(point: tuple[int, float], text: str) -> tuple[int, float]:
    if not (is_count(point[0]) and point[0] and 0 < point[1] < math.inf):
        raise SpecError(f"a point must be a run, or SAMPLES=RATE with both above 0, like 64=0.31. {received(text)}")
    return point


def _whole(number: float) -> int | None:
    return None if math.isinf(number) else round(number)


def _shown(number: float) -> str:
    if math.isinf(number):
        return "no limit"
    digits = max(0, len(str(round(number))) - 2)  # a forecast has at most two significant digits
    return f"{round(number, -digits):,.0f}"
