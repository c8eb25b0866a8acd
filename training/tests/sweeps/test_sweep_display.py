"""What a person is shown of a sweep while it goes on."""

import json
import types
from typing import Any

from training.sweeps.judge import LiveRun
from training.sweeps.results import display
from training.sweeps.results.display import RemainingTime, SweepDisplay
from training.tests.sweeps.sweep_support import MadeUpExecutor, sweep_of

LISTED = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}


def test_the_remaining_time_counts_down_between_two_reports_and_rests_on_epochs():
    remaining = RemainingTime(started=100.0)
    assert remaining.after(done=5, left=15, now=105.0) is None  # five epochs are of an earlier start
    # One epoch in ten seconds, with as many runs at once as there are: 14 more take 140.
    assert remaining.after(done=6, left=14, now=110.0) == 140.0
    assert remaining.after(done=6, left=14, now=140.0) == 110.0
    assert remaining.after(done=10, left=10, now=150.0) == 100.0
    assert remaining.after(done=10, left=10, now=900.0) == 0.0


def test_the_time_left_of_a_resumed_run_rests_on_the_epochs_since_it_was_resumed(monkeypatch):
    clock = types.SimpleNamespace(now=101.0)
    monkeypatch.setattr(display, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    nothing: Any = None  # it is asked for no more than its start
    made, live = SweepDisplay(), LiveRun(nothing, nothing, nothing, started=100.0)
    assert made._left_of(live, done=50, left=50) is None
    clock.now = 110.0
    assert made._left_of(live, done=51, left=49) == 490.0


def test_epochs_to_come_are_those_of_running_trials_and_of_trials_not_begun(tmp_path):
    epochs = (4, 1, 8)
    listed = [{**LISTED, "network_args": {"layer_size": 8}, "train_args": {"epochs": count}} for count in epochs]
    seen = []

    class Watching(SweepDisplay):
        def update(self, sweep):
            seen.append(self._epochs(sweep, 3))

    text = json.dumps({"experiment_group": "L", "experiments": listed})
    story = {4: 4, 1: 1, 8: 3}  # the last stops early
    executor = MadeUpExecutor(lambda spec, _: iter([1.0] * story[spec.train_args["epochs"]]), capacity=1)
    sweep, _ = sweep_of(text, tmp_path, executor)
    sweep._watcher = Watching()
    sweep.run()
    assert all(done + left == 13 for done, left in seen[:-1])
    assert [left for _, left in seen] == sorted((left for _, left in seen), reverse=True)
    assert seen[-1] == (8, 0)
