import math

from text_recognizer.models.metric import LOSS, Metric
from text_recognizer.schedules import Constant, ReduceOnPlateau
from text_recognizer.train_args import EarlyStopping, TrainArgs
from training.attempts.callbacks import BestEpoch, EarlyStop, Plateau, decisions


def rows(*values, name="val_loss"):
    return [{"epoch": index, name: value} for index, value in enumerate(values, start=1)]


def test_the_best_epoch_is_the_lowest_loss_or_the_highest_accuracy_and_never_nan():
    best = BestEpoch("val_loss", LOSS)
    assert [best.improved(row["epoch"], row) for row in rows(math.nan, 3.0, 2.0, 2.0, 2.5)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert best.state == {"epoch": 3, "value": 2.0}
    best = BestEpoch("val_accuracy", Metric("accuracy", larger_is_better=True))
    assert [best.improved(row["epoch"], row) for row in rows(0.1, 0.5, 0.3, name="val_accuracy")] == [True, True, False]


def test_early_stopping_waits_for_its_patience_and_counts_small_changes_as_none():
    stop = EarlyStop(EarlyStopping(patience=2, min_delta=0.1), "val_loss", LOSS)
    reasons = [stop.reason(row) for row in rows(1.0, 0.95, 0.8, 0.75, 0.71)]
    assert reasons == [None, None, None, None, "val_loss has not improved for 2 epochs"]


def test_early_stopping_may_watch_another_metric_than_the_best_weights():
    stop = EarlyStop(EarlyStopping(monitor="loss", patience=1), "loss", LOSS)
    assert stop.reason({"loss": 1.0}) is None
    assert stop.reason({"loss": 1.0}) is not None


def test_a_plateau_reduces_the_rate_again_and_again_down_to_its_floor():
    plateau = Plateau(ReduceOnPlateau(factor=0.1, patience=2, min_learning_rate=0.005), "val_loss", LOSS)
    rate, rates = 1.0, []
    for row in rows(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        rate = plateau.next_rate(row, rate)
        rates.append(round(rate, 6))
    assert rates == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005]


def test_state_makes_a_decision_the_same_after_a_restart():
    first = EarlyStop(EarlyStopping(patience=3), "val_loss", LOSS)
    first.reason({"val_loss": 1.0})
    first.reason({"val_loss": 1.0})
    second = EarlyStop(EarlyStopping(patience=3), "val_loss", LOSS)
    second.state = dict(first.state)
    assert [first.reason({"val_loss": 1.0}), first.reason({"val_loss": 1.0})] == [
        second.reason({"val_loss": 1.0}),
        second.reason({"val_loss": 1.0}),
    ]


def test_improvement_follows_the_direction_that_the_metric_declares():
    falls, rises = Metric("iou"), Metric("iou", larger_is_better=True)
    assert falls.improves(0.1, 0.2)
    assert not falls.improves(0.2, 0.1)
    assert rises.improves(0.2, 0.1)
    assert not rises.improves(0.2, 0.1, min_delta=0.15)
    assert rises.improves(0.2, None)
    assert not rises.improves(math.nan, None)


def test_a_schedule_from_elsewhere_may_fall_on_a_plateau_too():
    class Halved(Constant):
        on_plateau = ReduceOnPlateau(factor=0.5, patience=1)

    made = [decisions(TrainArgs(), schedule, {"val_loss": LOSS})[2] for schedule in (Halved(), Constant())]
    assert made[1] is None
    assert made[0] is not None
    assert made[0].args.factor == 0.5
