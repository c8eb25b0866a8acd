"""95 % intervals of rates: Wilson intervals for shares of independent samples, bootstrap intervals otherwise."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
RESAMPLES = 1000

Interval = tuple[float, float]


def rate_intervals(parts: NDArray[np.float64], groups: Sequence[str] | None = None) -> list[Interval]:
    """95 % intervals of rates pooled over samples.

    A rate that counts each sample once, as right or wrong, has a Wilson interval; other rates are bootstrapped.

    Args:
        parts: (n, rates, 2) of each sample, numerator and denominator.
        groups: (n,) writer or page of each sample. Errors within a group are correlated, so whole groups are
            resampled if there are several. As few groups may agree by chance, the interval of a share is then never
            narrower than Wilson's, which assumes independent samples.
    """
    is_grouped = groups is not None and len(set(groups)) > 1
    is_share = ((parts[..., 1] == 1) & np.isin(parts[..., 0], (0, 1))).all(axis=0)  # (rates,)
    drawn = np.flatnonzero(~is_share | is_grouped).tolist()
    found = bootstrap_intervals(parts[:, drawn], groups if is_grouped else None) if drawn else []
    intervals = dict(zip(drawn, found, strict=True))
    for rate in np.flatnonzero(is_share).tolist():
        low, high = wilson_interval(int(parts[:, rate, 0].sum()), len(parts))
        drawn_low, drawn_high = intervals.get(rate, (low, high))
        intervals[rate] = min(low, drawn_low), max(high, drawn_high)
    return [intervals[rate] for rate in range(parts.shape[1])]


def bootstrap_intervals(
    parts: NDArray[np.float64], groups: Sequence[str] | None = None, resamples: int = RESAMPLES
) -> list[Interval]:
    """95 % bootstrap percentile intervals of pooled rates, over samples or over whole groups.

    The same samples always give the same intervals. A rate whose denominator is always 0 has NaN.

    Source: Efron (1979), "Bootstrap methods: another look at the jackknife"; for error rates Bisani and Ney (2004),
    "Bootstrap estimates for confidence intervals in ASR performance evaluation".

    Args:
        parts: (n, rates, 2), see `rate_intervals`.
    """
    if groups is not None:
        names, numbers = np.unique(np.asarray(groups), return_inverse=True)
        summed = np.zeros((len(names), *parts.shape[1:]))
        np.add.at(summed, numbers, parts)
        parts = summed
    totals = resampled_totals(parts.reshape(len(parts), -1), resamples).reshape(resamples, *parts.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = totals[..., 0] / totals[..., 1]  # (resamples, rates)
    finite = [column[np.isfinite(column)] for column in rates.T]
    pairs = [np.percentile(values, [2.5, 97.5]).tolist() if len(values) else (math.nan, math.nan) for values in finite]
    return [(low, high) for low, high in pairs]


def resampled_totals(values: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    """(resamples, columns) sums over bootstrap samples of the rows."""
    count = len(values)
    random = np.random.default_rng(0)
    totals = np.empty((resamples, values.shape[1]))
    step = max(1, 2_000_000 // max(count, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = random.integers(0, count, (rows, count), dtype=np.int32)
        times = np.empty((rows, count))
        for row, places in enumerate(drawn):
            times[row] = np.bincount(places, minlength=count)
        totals[start : start + rows] = times @ values
    return totals


def wilson_interval(successes: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a rate, valid near 0 and 1 too. Raises ValueError: no samples, or more successes than samples.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"expected 0 <= successes <= count and count > 0. Received: {successes} of {count}.")
    rate = successes / count
    centre = rate + z * z / (2 * count)
    half = z * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == count else (centre + half) / scale
    return low, high
