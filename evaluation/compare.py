"""Compares two recognisers on the same samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.intervals import RESAMPLES, resampled_totals
from evaluation.predictions import errors_of
from text_recognizer.wording import counted

MOST_CHANGES = 50  # listed of each kind


@dataclass(frozen=True)
class PairedComparison:
    """Which of two recognisers is right more often on the same samples.

    Args:
        count: samples read by both.
        only_first, only_second: samples that only one of them read correctly.
        p_value: probability of a difference at least this large if both are equally good.
    """

    count: int
    only_first: int
    only_second: int
    p_value: float

    def in_words(self) -> str:
        if self.only_first == self.only_second:
            return f"equally many correct of {self.count:,}"
        better = "first" if self.only_first > self.only_second else "second"
        verdict = "is unlikely to be chance" if self.p_value < 0.05 else "may be chance"
        return (
            f"of {self.count:,} samples, {self.only_first} are correct only in the first, {self.only_second} only in "
            f"the second: the {better} is better, which {verdict} (exact McNemar test, p = {self.p_value:.3g})"
        )


@dataclass(frozen=True)
class PairedErrorRates:
    """Which of two recognisers has the lower character error rate on the same lines.

    Args:
        count: lines read by both.
        first, second: character error rates, pooled (corpus profile).
        low, high: 95 % interval of second - first, bootstrapped over lines.
    """

    count: int
    first: float
    second: float
    low: float
    high: float

    def in_words(self) -> str:
        rates = f"CER {100 * self.first:.2f} % and {100 * self.second:.2f} % (corpus profile)"
        lines = counted(self.count, "line")
        if self.first == self.second:
            return f"of {lines}, both have {rates.replace(' and', ' and also')}"
        better = "first" if self.first < self.second else "second"
        verdict = "may be chance" if self.low <= 0 <= self.high else "is unlikely to be chance"
        return (
            f"of {lines}, {rates}: the {better} is better, which {verdict} "
            f"(difference {100 * (self.second - self.first):+.2f}, 95 % interval {100 * self.low:+.2f} to "
            f"{100 * self.high:+.2f} points by paired bootstrap over lines)"
        )


Comparison = PairedComparison | PairedErrorRates


def compare_predictions(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> Comparison | None:
    """Compares rows of two predictions.jsonl; None if they are of different samples.

    Lines are compared by their character errors, other samples by whether they are right.
    """
    samples, others = ([(row["position"], row["label"]) for row in rows] for rows in (first, second))
    if not first or samples != others:
        return None
    if all("char_errors" in row for row in (*first, *second)):
        a, b = ([row["char_errors"] for row in rows] for rows in (first, second))
        return compare_error_rates(a, b, [len(row["label"]) for row in first])
    right = [(a["label"] == a["predicted"], b["label"] == b["predicted"]) for a, b in zip(first, second, strict=True)]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    return PairedComparison(len(right), only_first, only_second, mcnemar_p_value(only_first, only_second))


def changes(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Samples that the second reads better and worse than the first: their count, and the largest changes."""
    found = []
    for a, b in zip(first, second, strict=True):
        errors = [errors_of(row)[0] for row in (a, b)]
        if errors[0] != errors[1]:
            sample = {"sample": a.get("id", a["position"]), "label": a["label"]}
            found.append({**sample, "first": a["predicted"], "second": b["predicted"], "errors": errors})
    ranked = sorted(found, key=lambda one: one["errors"][1] - one["errors"][0])
    better = [one for one in ranked if one["errors"][1] < one["errors"][0]]
    worse = ranked[len(better) :][::-1]
    return {
        name: {"count": len(rows), "largest": rows[:MOST_CHANGES]}
        for name, rows in (("better", better), ("worse", worse))
    }


def compare_error_rates(first: Sequence[int], second: Sequence[int], lengths: Sequence[int]) -> PairedErrorRates:
    """Paired bootstrap of two recognisers over the same lines.

    Source: Bisani and Ney (2004), "Bootstrap estimates for confidence intervals in ASR performance evaluation".

    Args:
        first, second: character errors of each line.
        lengths: characters of each line's text.
    """
    values = np.array([first, second, lengths], np.float64).T  # (n, 3)
    totals = resampled_totals(values, 2 * RESAMPLES)
    differences = (totals[:, 1] - totals[:, 0]) / np.maximum(totals[:, 2], 1)
    low, high = np.percentile(differences, [2.5, 97.5])
    errors_first, errors_second, characters = values.sum(axis=0).tolist()
    whole = max(characters, 1.0)
    return PairedErrorRates(len(values), errors_first / whole, errors_second / whole, float(low), float(high))


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided exact test of the numbers of discordant pairs: the binomial tail at 1/2, doubled.

    Source: McNemar (1947), "Note on the sampling error of the difference between correlated proportions".
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
