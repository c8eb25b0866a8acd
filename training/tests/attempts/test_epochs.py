"""Epochs by steps and by the clock, which here is one that ticks whenever it is looked at."""

import json
import os
import signal
from typing import Any

import pytest

from text_recognizer.schedules import Constant, Cosine, Exponential
from text_recognizer.train_args import TrainArgs
from training.attempts import epochs as module
from training.attempts.checkpoint import read_checkpoint
from training.attempts.epochs import Epochs
from training.run_experiment import main
from training.runs.find import find_run


class Clock:
    """Goes on by a second a look; sends a signal at one of them."""

    def __init__(self, interrupt_at=None):
        self.now = 0.0
        self.interrupt_at = interrupt_at

    def monotonic(self):
        self.now += 1
        if self.now == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_epochs_by_steps_are_passes_or_as_long_as_is_asked(clock):
    by_pass, asked = Epochs(TrainArgs(epochs=2), 7), Epochs(TrainArgs(epochs=2, steps_per_epoch=3), 7)
    assert (by_pass.end_step, asked.end_step) == (7, 3)
    asked.begin_next(3)
    asked.count_time()
    assert (asked.done, asked.first_step, asked.end_step, asked.share(3)) == (1, 3, 6, 0.5)
    assert [asked.is_over(step) for step in (5, 6)] == [False, True]
    assert asked.state["began_s"] == 0


def test_a_checkpoint_of_before_epochs_were_counted_goes_on_in_the_middle_of_one(clock):
    epochs = Epochs(TrainArgs(epochs=9, steps_per_epoch=4), 7)
    epochs.resume(5.0, None, 10)
    assert (epochs.done, epochs.first_step, epochs.end_step, epochs.seconds) == (2, 8, 12, 5)


@pytest.mark.parametrize("state", [(2, 0), (1, 4), (2, 4), (0, 9), (10**9, 4 * 10**9)])
def test_numbers_that_no_training_comes_to_are_refused(state, clock):
    done, first_step = state
    epochs = Epochs(TrainArgs(epochs=9, steps_per_epoch=4), 7)
    with pytest.raises(ValueError, match="step 9 is not of epoch"):
        epochs.resume(0.0, {"done": done, "first_step": first_step, "began_s": 0.0}, 9)


def test_with_minutes_epochs_share_the_time_that_is_left_of_validations(clock):
    epochs = Epochs(TrainArgs(epochs=3, minutes=1), 7)
    ends = []
    epochs.start_clock()
    for step in range(1, 100):
        epochs.count_time()
        if epochs.is_over(step):
            ends.append(epochs.seconds)
            for _ in range(5):  # a validation of five seconds
                epochs.count_time()
            epochs.begin_next(step)
        if epochs.share(step) >= 1:
            break
    assert ends == [20, 45, 60]


def test_with_minutes_at_most_a_fifth_of_the_time_goes_to_slow_validations(clock):
    epochs = Epochs(TrainArgs(epochs=60, minutes=1), 7)
    epochs.start_clock()
    for step in (1, 2):
        assert epochs.is_over(step)  # its second is over
        trained_s = epochs.seconds
        for _ in range(5):  # a validation of five seconds
            epochs.count_time()
        epochs.begin_next(step, epochs.seconds - trained_s)
        for _ in range(19):
            epochs.count_time()
            assert not epochs.is_over(step)
        epochs.count_time()
    resumed = Epochs(TrainArgs(epochs=60, minutes=1), 7)
    resumed.resume(epochs.seconds - 1, epochs.state, 2)
    assert (epochs.is_over(2), resumed.is_over(2)) == (True, False)


def test_a_schedule_follows_the_clock_unless_it_counts_steps(clock):
    args = TrainArgs(minutes=1)
    epochs = Epochs(args, 7)
    rate: Any = epochs.build_rate(Cosine(), 0.1)
    epochs.resume(29.0, None, 0)
    epochs.start_clock()  # 30 of 60 seconds
    assert [float(rate(step)) for step in (0, 5000)] == pytest.approx([0.05, 0.05])
    by_steps: Any = Epochs(args, 7).build_rate(Exponential(decay_rate=0.5, decay_steps=10), 0.1)
    assert float(by_steps(10)) == pytest.approx(0.05)
    assert Epochs(args, 7).build_rate(Constant(), 0.1) == 0.1


def test_a_run_with_minutes_that_is_interrupted_goes_on_with_the_time_that_is_left(
    tmp_path, monkeypatch, digits_prepared, clock, capfd
):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    train_args = {"minutes": 1, "epochs": 3, "schedule": "cosine", "learning_rate": 0.01}
    spec = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp", "train_args": train_args}
    clock.interrupt_at = 30
    assert main([json.dumps(spec), "--nowandb", "--gpu=none"]) == 128 + signal.SIGINT
    run = find_run("last")
    _, state = read_checkpoint(run.folder / "checkpoints" / "last.npz")
    assert (state["seconds_trained"], state["epochs"]["done"]) == (29, 1)
    assert main(["--resume", str(run.folder), "--nowandb", "--gpu=none"]) == 0
    rows = [row for row in run.rows() if "loss" in row]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    # cosine: 0.75 of the rate after a third of the time
    assert [row["learning_rate"] for row in (rows[0], rows[2])] == pytest.approx([0.0075, 0], abs=1e-8)
    _, state = read_checkpoint(run.folder / "checkpoints" / "last.npz")
    assert (state["seconds_trained"], state["ended"]) == (61, "its time is over (1 min)")
    assert "trained     its time is over (1 min); best epoch" in capfd.readouterr().out


def test_minutes_and_steps_per_epoch_are_refused_together(capfd):
    given = ["--train_args.minutes=1", "--train_args.steps_per_epoch=3", "--nowandb", "--dry-run"]
    assert main(given) == 2
    assert "train_args.steps_per_epoch must be null where train_args.minutes is given" in capfd.readouterr().err
