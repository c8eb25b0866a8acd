"""Successive halving that promotes: runs pause at a rung and go on where they were."""

import time
from pathlib import Path

import pytest

from training.runs.run import Run
from training.sweeps.limits import Limits
from training.sweeps.stopping_rules.successive_halving import SuccessiveHalving
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, journal, sweep_of

GRID = SPACE.format(method="grid")
RULE = Limits(stopping_rule="successive_halving:min_iter=2,eta=2")


def judged_sweep(root, capacity):
    """A sweep of eight epochs a run, in which smaller networks are better. A run waits at a rung until it is judged."""

    def story(spec, _attempt):
        size, layers = spec.network_args["layer_size"], spec.network_args["num_layers"]
        swept = {"network_args.layer_size": size, "network_args.num_layers": layers}
        for epoch in range(1, 9):
            while epoch in (3, 5) and not may_go_on(swept, epoch - 1):
                time.sleep(0.01)
            yield size / 10 + 0.1 * layers + 1 / epoch

    def may_go_on(swept, rung):
        trial = next(trial for trial in list(sweep.trials.values()) if sweep.plan.swept(trial.point) == swept)
        judged = [decision for decision in list(trial.decisions) if decision["band"] == rung]
        asked = Run.open(trial.runs[0].folder).stop_requested()
        return bool(judged) and (not judged[-1]["pause"] or asked is not None)

    executor = MadeUpExecutor(story, capacity)
    sweep, recorder = sweep_of(GRID, root, executor, RULE)
    return sweep, recorder, executor


def test_a_run_pauses_until_it_is_among_the_best_at_its_rung():
    rule = SuccessiveHalving("minimize", min_iter=2, eta=2)
    rule.report("a", [5.0])
    assert not rule.decide("a").pause
    rule.report("a", [4.0])
    assert rule.decide("a").pause  # alone
    rule.report("b", [9.0, 6.0])
    assert [rule.decide(name).pause for name in "ab"] == [False, True]
    rule.report("c", [3.0, 2.0])
    rule.report("d", [3.0, 3.0])
    assert [rule.decide(name).pause for name in "abcd"] == [True, True, False, False]
    assert not any(rule.decide(name).stop for name in "abcd")
    assert rule.decide("b").facts == {"value": 6.0, "threshold": 3.0, "runs_at_band": 4, "reports": 2}
    assert rule.decide("b").explain("m") == "paused: m at rung 2 is 6 (of 4 there, the best 1/2 reach 3)"
    assert "2, 4, 8" in rule.describe()


def test_to_maximize_the_largest_go_on():
    rule = SuccessiveHalving("maximize", min_iter=1, eta=2)
    for name, value in (("a", 0.5), ("b", 0.7)):
        rule.report(name, [value])
    assert [rule.decide(name).pause for name in "ab"] == [True, False]


@pytest.mark.parametrize("capacity", [1, 3])
def test_paused_runs_go_on_where_they_were_and_the_best_comes_to_its_end(tmp_path: Path, capacity: int) -> None:
    sweep, recorder, executor = judged_sweep(tmp_path, capacity)
    result = sweep.run()
    assert (result.exit_code, result.complete) == (0, True)
    best = sweep.history.best()
    assert best is not None
    assert sweep.plan.swept(best.point) == {"network_args.layer_size": 8, "network_args.num_layers": 1}
    assert len(executor.started) > len(set(executor.started))  # some were paused and went on
    for trial in sweep.trials.values():
        run = Run.open(trial.runs[0].folder)
        epochs = [row["epoch"] for row in run.rows()]
        assert epochs == list(range(1, len(epochs) + 1))  # each once
        assert trial.state in ("finished", "stopped")
        if trial.state == "stopped":
            assert run.status().cause == "paused"
    assert any("paused: val_loss at rung 2" in event for event in recorder.events)


def test_a_sweep_goes_on_with_its_paused_runs_after_its_driver_died(tmp_path: Path) -> None:
    sweep, recorder, _ = judged_sweep(tmp_path, 1)

    def die(sweep):
        if len(sweep.trials) == 2 and not sweep.live:
            raise KeyboardInterrupt

    recorder.update = die
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    paused = [trial for trial in sweep.trials.values() if trial.is_paused(trial.runs[0])]
    assert paused
    again, _, _ = judged_sweep(tmp_path, 1)
    assert again.run().complete
    assert len(again.trials) == 6
    best = again.history.best()
    assert best is not None
    assert again.plan.swept(best.point) == {"network_args.layer_size": 8, "network_args.num_layers": 1}
    decisions = [event for event in journal(again.folder.path) if event["event"] == "decision"]
    assert {event["pause"] for event in decisions} == {True, False}
