"""The loop of a sweep, on runs that a function makes up."""

import itertools
import json
import os
import signal
import threading
import time
import types
from typing import Any

import pytest

from text_recognizer.errors import RunError, SpecError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.executors.base import Job
from training.runs.run import Run
from training.sweeps import ledger
from training.sweeps.folder import SweepFolder
from training.sweeps.history import History
from training.sweeps.limits import Limits
from training.sweeps.results.leaderboard import cell_text, cell_value, write_leaderboard
from training.sweeps.trials import Trial, read_trials
from training.tests.sweeps.sweep_support import (
    SPACE,
    MadeUpExecutor,
    begin_trial,
    by_layer_size,
    journal,
    run_sweep,
    sweep_of,
)

GRID = SPACE.format(method="grid")


def points(sweep):
    return [tuple(sweep.plan.swept(trial.point).values()) for trial in sweep.trials.values()]


def test_a_grid_runs_every_point_once_in_order_and_finds_the_best(tmp_path):
    sweep, result = run_sweep(GRID, tmp_path, by_layer_size)
    assert points(sweep) == list(itertools.product([8, 16, 32], [1, 2]))
    assert (result.exit_code, result.complete, result.ended) == (0, True, "all trials are done")
    best = sweep.history.best()
    assert best is not None
    assert best.number == 5
    assert sweep.history.value(best) == pytest.approx(5 / 32 + 0.1 + 1 / 3)


def test_suggestions_are_written_down_before_their_runs_start(tmp_path):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    events = journal(sweep.folder.path)
    for number in range(1, 7):
        kinds = [event["event"] for event in events if event.get("trial") == number]
        assert kinds == ["suggest", "start", "end"]


def test_a_finished_sweep_does_nothing_when_started_again(tmp_path):
    first, _ = run_sweep(GRID, tmp_path, by_layer_size)
    executor = MadeUpExecutor(by_layer_size)
    again, _ = sweep_of(GRID, tmp_path, executor)
    assert again.run().complete
    assert executor.started == []
    assert again.history.ranked()[0].number == first.history.ranked()[0].number


def test_another_file_cannot_go_on_with_a_sweep(tmp_path):
    run_sweep(GRID, tmp_path, by_layer_size)
    with pytest.raises(SpecError, match="its file has changed; .*/sweep.yaml is what it was.*--name NEW"):
        sweep_of(GRID.replace("32", "64"), tmp_path, MadeUpExecutor(by_layer_size))
    with pytest.raises(SpecError, match=r"--base, --set, .* has another value\. Change it back"):
        sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size), seed=7)
    sweep_of(GRID.replace("32", "64"), tmp_path, MadeUpExecutor(by_layer_size), name="other")


def test_a_list_of_experiments_is_a_sweep_too(tmp_path):
    text = json.dumps(
        {
            "experiment_group": "My experiments",
            "experiments": [
                {
                    "dataset": "DigitsDataset",
                    "model": "CharacterModel",
                    "network": "mlp",
                    "network_args": {"layer_size": size},
                }
                for size in (4, 8)
            ],
        }
    )
    sweep, result = run_sweep(text, tmp_path, by_layer_size)
    assert sweep.folder.path == tmp_path / "My-experiments"
    assert points(sweep) == [(4,), (8,)]
    best = sweep.history.best()
    assert best is not None
    assert best.number == 2
    assert result.exit_code == 0
    assert Run(sweep.trials[1].runs[0].folder).spec.experiment_group == "My experiments"


def test_seeds_are_runs_of_one_trial_and_their_mean_counts(tmp_path):
    def story(spec, attempt):
        return iter([spec.network_args["layer_size"] + spec.seed])

    sweep, _ = run_sweep(GRID, tmp_path, story, seeds=3)
    assert len(sweep.trials) == 6
    assert [Run(run.folder).spec.seed for run in sweep.trials[1].runs] == [0, 1, 2]
    assert sweep.history.value(sweep.trials[1]) == pytest.approx(9.0)  # 8, 9 and 10


def test_the_runs_of_a_trial_have_folders_of_their_own_whatever_chance_does(tmp_path, monkeypatch):
    monkeypatch.setattr("training.sweeps.ledger.new_run_id", lambda spec: "20261120-093012-k3x9f-mlp")
    sweep, result = run_sweep(GRID, tmp_path, lambda spec, attempt: iter([1.0]), seeds=3)
    assert [run.id for run in sweep.trials[2].runs] == [f"20261120-093012-k3x9f-t0002-s{seed}" for seed in (1, 2, 3)]
    assert result.complete


def test_a_cap_and_a_target_end_a_sweep(tmp_path):
    sweep, _ = run_sweep(SPACE.format(method="random"), tmp_path / "a", by_layer_size, name="capped")
    assert len(sweep.trials) == 6  # a finite space is exhausted, no point comes twice
    executor = MadeUpExecutor(by_layer_size, capacity=1)
    capped, _ = sweep_of(SPACE.format(method="random"), tmp_path / "b", executor, Limits(run_cap=3))
    assert capped.run().ended == "3 trials, the run cap"
    assert len(capped.trials) == 3
    text = GRID.replace("goal: minimize", "goal: minimize, target: 0.8")
    aimed, _ = sweep_of(text, tmp_path / "c", MadeUpExecutor(by_layer_size, capacity=1))
    assert aimed.run().ended.startswith("val_loss reached its target: 0.7")
    assert len(aimed.trials) == 3


def test_a_random_sweep_resumes_exactly(tmp_path):
    text = SPACE.format(method="random").replace("{values: [8, 16, 32]}", "{min: 1, max: 1000000}")
    whole, _ = sweep_of(text, tmp_path / "whole", MadeUpExecutor(by_layer_size), Limits(run_cap=6))
    whole.run()
    for cap in (2, 4, 6):
        part, _ = sweep_of(text, tmp_path / "parts", MadeUpExecutor(by_layer_size), Limits(run_cap=cap))
        part.run()
    assert points(part) == points(whole)


def test_worse_runs_are_stopped_early_and_every_decision_is_written_down(tmp_path):
    text = GRID + "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n"

    def story(spec, attempt):
        """Of all the first of two layers is the worst: as soon as three are at a band, it is not in the better half."""
        if spec.network_args["num_layers"] == 1:
            return iter([1.0] * 30)
        size = spec.network_args["layer_size"]
        return iter([100.0 + 1 / size] * (99_999 if size == 8 else 30))

    sweep, _ = sweep_of(text, tmp_path, MadeUpExecutor(story, capacity=3, pause_s=0.02))
    result = sweep.run()
    assert result.exit_code == 0
    stopped = [trial for trial in sweep.trials.values() if trial.state == "stopped"]
    assert sweep.trials[2] in stopped
    assert all(sweep.plan.swept(trial.point)["network_args.num_layers"] == 2 for trial in stopped)
    for trial in stopped:
        decision = trial.decisions[-1]
        assert decision["stop"]
        assert decision["value"] > decision["threshold"]
        assert decision["runs_at_band"] >= 2
        assert f"at band {decision['band']} is" in decision["text"]
        error = str(Run.open(trial.runs[0].folder).status().error)
        assert error.startswith("early termination, stopped: val_loss at band")
        assert Run.open(trial.runs[0].folder).status().cause == "early_termination"
    replayed = read_trials(journal(sweep.folder.path), sweep.folder.path)
    assert replayed[stopped[0].number].decisions


def test_a_decision_written_down_before_the_driver_died_is_carried_out(tmp_path):
    text = GRID + "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n"
    sweep, _ = sweep_of(text, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    trial = begin_trial(sweep)
    run = Run.open(trial.runs[0].folder)
    run.set_state("running")
    sweep.folder.append(
        "decision",
        trial=1,
        run=run.id,
        stop=True,
        band=2,
        value=3.0,
        threshold=1.0,
        runs_at_band=4,
        reports=2,
        text="worse",
    )
    sweep.folder.release()
    executor = MadeUpExecutor(by_layer_size)
    again, _ = sweep_of(text, tmp_path, executor)
    again.run()
    assert run.id not in executor.started
    assert Run.open(run.folder).status().state == "stopped"
    assert again.trials[1].state == "stopped"


def test_a_cap_in_the_file_may_be_raised_between_two_starts(tmp_path):
    text = SPACE.format(method="random")
    run_sweep(text + "run_cap: 2\n", tmp_path, by_layer_size)
    sweep, result = run_sweep(text + "run_cap: 4\n", tmp_path, by_layer_size)
    assert result.exit_code == 0
    assert "run_cap: 4" in (sweep.folder.path / "sweep.yaml").read_text()  # what would be registered at W&B


def test_two_drivers_of_one_sweep_are_one_too_many(tmp_path):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    other, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    with pytest.raises(RunError, match=f"is driven by process {os.getpid()} on"):
        other.run()
    sweep.folder.release()


def test_pause_resume_and_stop_are_obeyed(tmp_path, monkeypatch):
    asked_to_stop = threading.Event()

    def story(spec, attempt):
        yield 1.0
        if len(executor.started) == 2:
            asked_to_stop.wait(PATIENCE_S)
        yield 1.0

    executor = MadeUpExecutor(story, capacity=1)
    sweep, recorder = sweep_of(GRID, tmp_path, executor)
    turns: list[object] = []
    monkeypatch.setattr(recorder, "update", turns.append)
    sweep.folder.set_wish("pause")
    results = []
    thread = threading.Thread(target=lambda: results.append(sweep.run()))
    with _NoSignals():
        thread.start()
        wait_until(lambda: len(turns) > 3)
        assert executor.started == []
        assert SweepFolder(sweep.folder.path).holder() is not None
        sweep.folder.set_wish("run")
        wait_until(lambda: len(executor.started) == 2)
        sweep.folder.set_wish("stop")
        asked_to_stop.set()
        thread.join(PATIENCE_S)
    assert results[0].ended == "asked to stop"
    assert len(executor.started) == 2
    assert all(trial.state == "finished" for trial in sweep.trials.values())


class _NoSignals:
    """Signal handlers can only be set in the main thread; a sweep in another one does without."""

    def __enter__(self):
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)

    def __exit__(self, *_):
        self._patch.undo()


def test_an_interrupted_sweep_lets_runs_reach_a_checkpoint_and_goes_on_later(tmp_path, monkeypatch):
    def story(spec, attempt):
        return iter([1.0] * (20 if spec.network_args["layer_size"] == 8 else 99_999))  # the third and the fourth: on

    def interrupt(sweep):
        if len(sweep.trials) == 4 and not sweep._interrupts:
            os.kill(os.getpid(), signal.SIGINT)

    executor = MadeUpExecutor(story, capacity=2, pause_s=0.02)
    sweep, recorder = sweep_of(GRID, tmp_path, executor)
    monkeypatch.setattr(recorder, "update", interrupt)
    result = sweep.run()
    assert result.exit_code == 130
    assert not result.complete
    states = [Run.open(run.folder).status().state for trial in sweep.trials.values() for run in trial.runs]
    assert states == ["finished", "finished", "stopped", "stopped"]
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(lambda spec, n: iter([1.0 / (n + 1)] * 20)))
    assert again.run().complete
    assert len(again.trials) == 6
    assert all(trial.state == "finished" for trial in again.trials.values())
    assert len({run.id for trial in again.trials.values() for run in trial.runs}) == 6


def test_an_interrupt_that_is_handled_longer_than_the_loop_waits_stops_the_runs_all_the_same(tmp_path, monkeypatch):
    def interrupt(sweep):
        if not interrupts:
            interrupts.append(threading.Timer(ledger.POLL_S / 2, os.kill, (os.getpid(), signal.SIGINT)))
            interrupts[0].start()  # while the loop waits for runs to end

    interrupts: list[threading.Timer] = []
    sweep, recorder = sweep_of(GRID, tmp_path, MadeUpExecutor(lambda *_: iter([1.0] * 500), pause_s=0.02))
    monkeypatch.setattr(recorder, "update", interrupt)
    monkeypatch.setattr("training.sweeps.sweep.say", lambda _: time.sleep(2 * ledger.POLL_S))
    assert sweep.run().exit_code == 130
    states = [Run.open(run.folder).status().state for trial in sweep.trials.values() for run in trial.runs]
    assert states == ["stopped", "stopped"]


def test_a_run_of_a_sweep_that_somebody_stops_stays_stopped_whatever_the_reason_says(tmp_path):
    def story(spec, attempt):
        folder = next(tmp_path.glob(f"*/{executor.started[-1]}"))
        Run(folder).request_stop("the executor feels slow today, interrupted by Ctrl-C")
        return by_layer_size(spec, attempt)

    executor = MadeUpExecutor(story, capacity=1)
    sweep, _ = sweep_of(GRID, tmp_path, executor, Limits(run_cap=1))
    assert sweep.run().exit_code == 0
    assert len(executor.started) == 1
    assert sweep.trials[1].state == "stopped"
    end = next(event for event in journal(sweep.folder.path) if event["event"] == "end")
    assert (end["cause"], end["error"]) == ("asked", "the executor feels slow today, interrupted by Ctrl-C")


def test_a_run_that_waits_for_its_mirror_after_its_driver_died_is_waited_for(tmp_path, monkeypatch):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    left_alone = Run.open(begin_trial(sweep).runs[0].folder)
    sweep.folder.release()
    left_alone.hold()
    left_alone.set_state("preempted", "received SIGTERM")
    waiting = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: left_alone.release())
    monkeypatch.setattr(ledger, "time", waiting)
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert again.run().complete
    assert [run.failures for trial in again.trials.values() for run in trial.runs] == [[]] * 6


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_journal_torn_at_its_end_loses_nothing_that_was_acknowledged(tmp_path, cut):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    path = sweep.folder.path / "trials.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    executor = MadeUpExecutor(by_layer_size)
    again, _ = sweep_of(GRID, tmp_path, executor)
    assert again.run().complete
    assert executor.started == []  # every run had finished: its folder says so, whatever the journal lost
    assert points(again) == points(sweep)


def test_a_trial_that_takes_too_long_is_ended(tmp_path):
    executor = MadeUpExecutor(lambda spec, n: iter([1.0] * 500), capacity=6, pause_s=0.05)
    limits = Limits(trial_timeout_s=0.3, retries=0)
    sweep, _ = sweep_of(GRID, tmp_path, executor, limits)
    assert sweep.run().failed
    assert all(trial.runs[0].failures == ["time-out"] for trial in sweep.trials.values())


def test_the_leaderboard_and_the_best_spec_are_written(tmp_path):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    write_leaderboard(sweep.plan, sweep.folder, sweep.history)
    lines = (sweep.folder.path / "leaderboard.csv").read_text().splitlines()
    assert lines[0] == "trial,state,val_loss,test_accuracy,network_args.layer_size,network_args.num_layers,run"
    assert lines[1].startswith("5,finished,0.5895")
    best = json.loads((sweep.folder.path / "best_spec.json").read_text())
    assert best["network_args"] == {"layer_size": 32, "num_layers": 1, "dropout_amount": 0.2}  # completed


def test_a_run_is_given_away_once_all_that_was_written_down_before_is_on_the_disk(tmp_path, monkeypatch):
    path, on_disk, seen = tmp_path / "sweep" / "trials.jsonl", [b""], []

    def sync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(path):
            on_disk.append(path.read_bytes())

    class Watching(MadeUpExecutor):
        def submit(self, run: Run, **launch: Any) -> Job:
            seen.append(on_disk[-1] == path.read_bytes())
            return super().submit(run, **launch)

    monkeypatch.setattr(os, "fdatasync", sync)
    sweep, _ = sweep_of(GRID, tmp_path, Watching(by_layer_size, capacity=6))
    sweep.run()
    assert seen == [True] * 6
    assert on_disk[-1] == path.read_bytes()
    assert on_disk[1].count(b'"start"') == 6, "they waited for the disk together"


def test_a_trial_that_is_over_is_looked_at_once_for_the_best_and_the_counts(tmp_path, monkeypatch):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    history = History(sweep.plan.metric, sweep.trials)
    best, looks = history.best(), list[Trial]()
    assert best is min(sweep.trials.values(), key=history.by_value)
    for name in ("state", "is_over"):
        monkeypatch.setattr(Trial, name, property(looks.append))
    assert (history.best(), history.counts(), history.next_number) == (best, {"finished": 6}, 7)
    assert (history.unfinished(), looks) == ([], [])


@pytest.mark.parametrize(
    "value", [None, 4, 0.1, 1e-05, float("inf"), True, "adam", "10", "true", "", '"', [1, "a"], {"a": 1}]
)
def test_a_cell_of_the_leaderboard_is_read_as_it_was_written(value):
    read = cell_value(cell_text(value))
    assert (read, type(read)) == (value, type(value))
    assert cell_text("adam") == "adam"
