"""LearningCurve: error rate against the number of training samples, and how many samples a lower rate needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from text_recognizer.errors import DataError

CONFIDENCE = 0.95
MOST_SAMPLES = 1e15
FEWEST_POINTS = 3  # two fit exactly, and leave no estimate of the error


@dataclass(frozen=True)
class Forecast:
    """Samples needed for a rate, with a 95 % interval; infinite if the curve may be too flat to reach it."""

    samples: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """rate = scale * samples ** -exponent, the usual shape of learning curves.

    A straight line in log-log space, by least squares. It has no floor, so far beyond its points it is too optimistic.
    Source: Hestness et al. (2017), "Deep learning scaling is predictable, empirically".

    Args:
        spread: variance of the logarithm of a rate around the line.
        middle, width: of the logarithms of the samples: their mean, and the sum of their squared distances from it.
    """

    scale: float
    exponent: float
    count: int
    spread: float
    middle: float
    width: float

    @classmethod
    def fit(cls, points: Sequence[tuple[float, float]]) -> "LearningCurve":
        """Fits a curve to (samples, rate). Raises DataError: too few points, or rates that do not fall."""
        if len({samples for samples, _ in points}) < FEWEST_POINTS:
            raise DataError(
                f"a learning curve needs at least {FEWEST_POINTS} runs with different numbers of training samples. "
                f"Received: {', '.join(f'{samples:,.0f}' for samples, _ in points) or 'none'}."
            )
        x, y = np.log(np.array(points, float)).T
        slope, level = np.polyfit(x, y, 1)
        if slope >= 0:
            raise DataError("the rates do not fall with more training samples, so nothing can be forecast.")
        residuals = y - (level + slope * x)
        spread = float(residuals @ residuals) / (len(x) - 2)
        width = float(((x - x.mean()) ** 2).sum())
        return cls(math.exp(level), -float(slope), len(x), spread, float(x.mean()), width)

    def rate(self, samples: float) -> float:
        return float(self.scale * samples**-self.exponent)

    def needed(self, rate: float) -> Forecast:
        """How many samples the curve needs for a rate, by Fieller's inverse prediction. Raises DataError: too many."""
        from scipy.stats import t

        best = (math.log(self.scale) - math.log(rate)) / self.exponent
        if best > math.log(MOST_SAMPLES):
            raise DataError(
                f"the rates fall so slowly that {rate:g} would need more than {MOST_SAMPLES:.0e} samples. Change "
                f"something else: the network, the augmentation, the initial weights."
            )
        away = best - self.middle  # from the middle of the points, on the line
        quantile = float(t.ppf((1 + CONFIDENCE) / 2, self.count - 2)) ** 2 * self.spread
        # Where the line may cross the rate, given the errors of its level and slope: a quadratic inequality.
        a = self.exponent**2 - quantile / self.width
        b = self.exponent**2 * away
        c = self.exponent**2 * away**2 - quantile / self.count
        root = math.sqrt(max(b**2 - a * c, 0.0))
        if a > 0:
            low, high = (b - root) / a, (b + root) / a
        else:  # within its error, the line may be level
            low, high = c / (b + root) if b > 0 and root > 0 else -math.inf, math.inf
        logarithms = (best, self.middle + low, self.middle + high)
        return Forecast(*(math.inf if one > math.log(MOST_SAMPLES) else math.exp(one) for one in logarithms))
