"""Learning curves in the terminal: what is drawn, and when there is nothing to draw."""

import pytest

from text_recognizer.errors import SpecError
from training.commands.curves import draw_curves

ROWS = [{"epoch": epoch, "val_loss": 1 / epoch} for epoch in (1, 2, 3)]


def test_curves_of_several_runs_have_letters_and_a_legend() -> None:
    drawn = draw_curves({"first": ROWS, "second": ROWS[:1]})
    assert "val_loss by epoch" in drawn
    assert drawn.splitlines()[-2:] == ["A first", "B second"]


@pytest.mark.parametrize(
    "rows", [[], ROWS[:1], [{"epoch": 1, "val_loss": None}, ROWS[1]], [{"epoch": 1, "other": 2.0}]]
)
def test_a_single_epoch_is_no_curve(rows) -> None:
    assert draw_curves({"run": rows}) == ""


def test_a_metric_that_no_run_reports_is_refused_with_those_that_they_do() -> None:
    with pytest.raises(SpecError, match=r"no run reports 'val_lost'\. Reported: epoch, val_loss\."):
        draw_curves({"run": ROWS}, "val_lost")
