"""Learning curves: the fit, what a rate needs, and what cannot be forecast."""

import math

import numpy as np
import pytest

from evaluation.learning_curve import LearningCurve
from text_recognizer.errors import DataError

ROUGH = [(16, 0.52), (64, 0.40), (256, 0.31), (1024, 0.22)]


def test_a_curve_of_its_own_kind_is_found_and_carried_on():
    # 0.8 / sqrt(n): 0.1 needs 64.
    curve = LearningCurve.fit([(samples, 0.8 / math.sqrt(samples)) for samples in (4, 9, 25)])
    assert (curve.scale, curve.exponent) == pytest.approx((0.8, 0.5))
    needed = curve.needed(0.1)
    assert [needed.low, needed.samples, needed.high] == pytest.approx([64, 64, 64])


def test_the_interval_ends_where_the_band_around_the_line_meets_the_rate():
    x, y = np.log(ROUGH).T
    (slope, level), covariance = np.polyfit(x, y, 1, cov=True)
    needed = LearningCurve.fit(ROUGH).needed(0.15)
    assert needed.low < needed.samples < needed.high
    for samples, sign in ((needed.low, -1), (needed.high, 1)):
        at = np.array([math.log(samples), 1])
        error = math.sqrt(at @ covariance @ at)
        assert math.log(0.15) - (slope * at[0] + level) == pytest.approx(sign * 4.302653 * error)  # t, two degrees


def test_a_line_that_may_be_level_has_no_upper_end():
    needed = LearningCurve.fit([(16, 0.5), (64, 0.45), (256, 0.46)]).needed(0.2)
    assert needed.high == math.inf
    assert needed.low < needed.samples


def test_what_says_nothing_of_a_course_is_refused():
    with pytest.raises(
        DataError, match=r"at least 3 runs with different numbers of training samples\. Received: 8, 8, 9"
    ):
        LearningCurve.fit([(8, 0.5), (8, 0.4), (9, 0.3)])
    with pytest.raises(DataError, match="the rates do not fall with more training samples"):
        LearningCurve.fit([(8, 0.3), (16, 0.4), (32, 0.4)])
    with pytest.raises(DataError, match=r"fall so slowly that 0\.05 would need more than 1e\+15 samples"):
        LearningCurve.fit([(8, 0.3), (16, 0.2999999), (32, 0.2999998)]).needed(0.05)
