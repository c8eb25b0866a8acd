"""Confidence: calibration, and which share of samples can be accepted unchecked at which error rate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.charts import line_chart
from evaluation.predictions import errors_of

BINS = 15  # as in Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks"
COVERAGES = tuple(share / 20 for share in range(1, 21))
SHOWN_COVERAGE = 0.8


def confidence_figures(rows: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    """The confidence values of evaluation.json, from rows of predictions.jsonl; `unit`: what a sample is called."""
    if not rows or not all(math.isfinite(row["confidence"]) for row in rows):  # the model has diverged
        return {}
    whole = [[row["confidence"], row["label"] == row["predicted"]] for row in rows]
    if "words" not in rows[0]:
        levels = {"character": whole}
    else:
        parts = {name: [one for row in rows for one in row[f"{name}s"]] for name in ("character", "word")}
        levels = {**parts, "line": whole}
    curve = risk_coverage(rows)
    return {
        "calibration": [{"level": name, **reliability(np.array(pairs))} for name, pairs in levels.items() if pairs],
        "risk_coverage": curve,
        "unseen": in_words(curve, unit),
    }


def reliability(pairs: NDArray[np.float64]) -> dict[str, Any]:
    """The expected calibration error, and its bins.

    Source: Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning".

    Args:
        pairs: (n, 2) confidence, and 1 if the reading was right, else 0.
    Returns:
        "count", "expected_calibration_error", and the non-empty "bins": mean confidence, accuracy, count.
    """
    places = np.minimum((pairs[:, 0] * BINS).astype(int), BINS - 1)
    inside = [pairs[places == place] for place in np.unique(places)]
    bins = [(*np.round(one.mean(axis=0), 6).tolist(), len(one)) for one in inside]
    error = sum(abs(confidence - right) * count for confidence, right, count in bins) / len(pairs)
    return {"count": len(pairs), "expected_calibration_error": round(error, 6), "bins": bins}


def risk_coverage(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """The error rate of the most confident samples, for shares of all samples.

    Lines are ranked by their expected character error rate, other samples by confidence.

    Source: El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification".

    Returns:
        "coverage", "error" (over pooled characters for lines, else over samples), and "at_most": the largest doubt
        among them, which is the expected character error rate of a line, else 1 - confidence.
    """
    expected = [row.get("expected_cer") for row in rows]
    doubts = np.array([1 - row["confidence"] if one is None else one for row, one in zip(rows, expected, strict=True)])
    errors, sizes = np.array([errors_of(row) for row in rows], float).T
    order = np.argsort(doubts, kind="stable")
    curve = []
    for coverage in COVERAGES:
        surest = order[: max(1, round(coverage * len(rows)))]
        error = float(errors[surest].sum() / max(sizes[surest].sum(), 1))
        at_most = float(doubts[surest[-1]])
        curve.append({"coverage": coverage, "error": round(error, 6), "at_most": round(at_most, 6)})
    return curve


def in_words(curve: Sequence[Mapping[str, float]], unit: str) -> str:
    """A recommendation from the curve."""
    shown = next(point for point in curve if point["coverage"] >= SHOWN_COVERAGE)
    rate, doubt = ("CER", "an expected CER") if unit == "line" else ("an error rate of", "a doubt")
    return (
        f"Accept {100 * shown['coverage']:.0f} % of the {unit}s unchecked at {rate} {100 * shown['error']:.1f} %: "
        f"those with {doubt} of at most {100 * shown['at_most']:.1f} %. Have a person check the rest. "
        f"Accepting all unchecked: {100 * curve[-1]['error']:.1f} %."
    )


def confidence_charts(evaluation: Mapping[str, Any]) -> list[str]:
    """A reliability diagram and a risk-coverage curve; none if an evaluation has no confidence values."""
    if not evaluation.get("calibration"):
        return []
    levels = {one["level"]: [(x, y) for x, y, _ in one["bins"]] for one in evaluation["calibration"]}
    risk = {"error": [(point["coverage"], point["error"]) for point in evaluation["risk_coverage"]]}
    return [
        line_chart({"ideal": [(0, 0), (1, 1)], **levels}, "confidence", "accuracy"),
        line_chart(risk, "share accepted unchecked", "error rate"),
    ]
