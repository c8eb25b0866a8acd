import math

import numpy as np
import pytest

from evaluation.confidence import confidence_charts, confidence_figures, reliability, risk_coverage


def test_the_expected_calibration_error_by_hand():
    # Two of confidence 0.9, one of them right; two of 0.3, none right: (|0.9 - 0.5| * 2 + |0.3 - 0| * 2) / 4.
    found = reliability(np.array([[0.9, 1], [0.9, 0], [0.3, 0], [0.3, 0]]))
    assert found["expected_calibration_error"] == pytest.approx(0.35)
    assert found["bins"] == [(0.3, 0.0, 2), (0.9, 0.5, 2)]
    assert reliability(np.array([[1.0, 1.0]]))["expected_calibration_error"] == 0  # 1 falls into the last bin


def line(doubt: float, errors: int, length: int) -> dict[str, object]:
    return {
        "label": "x" * length,
        "predicted": "y",
        "confidence": 0.5,
        "char_errors": errors,
        "expected_cer": doubt,
        "characters": [[0.5, 1]],
        "words": [[0.25, 0]],
    }


def test_lines_are_read_unseen_from_the_surest_on_and_errors_are_pooled():
    # The surest four of five have 2 errors in 40 characters, all five 12 in 50.
    rows = [line(0.9, 10, 10), line(0.1, 0, 10), line(0.2, 2, 10), line(0.3, 0, 10), line(0.4, 0, 10)]
    figures = confidence_figures(rows, "line")
    assert figures["risk_coverage"][15] == {"coverage": 0.8, "error": 0.05, "at_most": 0.4}
    assert figures["risk_coverage"][-1] == {"coverage": 1.0, "error": 0.24, "at_most": 0.9}
    assert figures["unseen"] == (
        "Accept 80 % of the lines unchecked at CER 5.0 %: those with an expected CER of at most 40.0 %. "
        "Have a person check the rest. Accepting all unchecked: 24.0 %."
    )
    assert [(one["level"], one["count"]) for one in figures["calibration"]] == [
        ("character", 5),
        ("word", 5),
        ("line", 5),
    ]
    assert len(confidence_charts(figures)) == 2


def test_images_are_ranked_by_their_confidence():
    rows = [
        {"label": "a", "predicted": "b", "confidence": 0.4},
        {"label": "a", "predicted": "a", "confidence": 0.9},
    ]
    assert [point["error"] for point in risk_coverage(rows) if point["coverage"] in (0.5, 1.0)] == [0.0, 0.5]
    assert [one["level"] for one in confidence_figures(rows, "image")["calibration"]] == ["character"]


def test_an_evaluation_of_an_earlier_version_has_no_charts_of_confidence():
    assert confidence_charts({"metrics": {}}) == []
    assert confidence_figures([], "line") == {}


def test_a_model_that_has_diverged_has_no_figures_of_confidence():
    assert confidence_figures([{"label": "a", "predicted": "b", "confidence": math.nan}], "image") == {}
