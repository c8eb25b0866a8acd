"""`text-recognizer sweeps`: the state of a sweep in one word, and the wishes that change it."""

import json
from pathlib import Path

import pytest

from training.cli import main
from training.sweeps.folder import SweepFolder
from training.sweeps.limits import Limits
from training.sweeps.table import read_sweeps
from training.sweeps.wandb import registration
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, begin_trial, by_layer_size, run_sweep, sweep_of
from training.tracking.wandb.sweep_link import SweepLink

GRID = SPACE.format(method="grid")


@pytest.fixture
def half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """A sweep two of whose six trials were begun, and one finished, when its driver died."""
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size, capacity=1), Limits(run_cap=1))
    sweep.run()
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    sweep.ledger.take_up(retry_failed=False)
    begin_trial(sweep)
    sweep.folder.release()
    return sweep.folder


def state() -> str:
    return read_sweeps()[0].state


def test_a_sweep_that_nobody_drives_is_what_was_asked_of_it(half_done):
    assert state() == "interrupted"
    for action, expected in (("pause", "paused"), ("resume", "interrupted"), ("cancel", "cancelled")):
        assert main(["sweeps", action, "sweep"]) == 0
        assert state() == expected
    assert main(["sweeps", "resume", "sweep"]) == 0
    half_done.hold()
    for action, expected in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert main(["sweeps", action, "sweep"]) == 0
        assert state() == expected
    half_done.release()


@pytest.mark.parametrize("action", ["pause", "stop", "cancel"])
def test_a_finished_sweep_stays_finished(action, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    assert main(["sweeps", action, "sweep"]) == 2
    assert f"the sweep sweep is finished: there is nothing to {action}" in capsys.readouterr().err
    assert sweep.folder.wish == "run"
    sweep.folder.set_wish("cancel")  # as an earlier version wrote it
    assert state() == "finished"
    assert main(["sweeps", "resume", "sweep"]) == 0


def test_a_finished_sweep_whose_failed_trials_run_again_is_not_finished(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    sweep.folder.hold()
    sweep.folder.append("retry", trial=1, run=sweep.trials[1].runs[0].id)
    sweep.folder.release()
    assert state() == "interrupted"


def test_wishes_reach_wandb_where_it_keeps_the_sweep_and_nobody_here_drives_it(half_done, monkeypatch, capsys):
    (half_done.path / "wandb.json").write_text(json.dumps({"id": "abc", "project": "p", "entity": "e"}))
    told = []

    def wandb(*arguments: str) -> str:
        told.append(arguments)
        return "wandb: Done." if arguments[1] != "--stop" else "wandb: ERROR Sweep already finished."

    monkeypatch.setattr(registration, "_wandb", wandb)
    for action in ("pause", "resume", "cancel"):
        assert main(["sweeps", action, "sweep"]) == 0
    assert told == [("sweep", f"--{action}", "e/p/abc") for action in ("pause", "resume", "cancel")]
    assert main(["sweeps", "stop", "sweep"]) == 2
    assert "W&B did not stop the sweep e/p/abc: ERROR Sweep already finished." in capsys.readouterr().err
    assert half_done.wish == "stop"
    half_done.hold()
    assert main(["sweeps", "pause", "sweep"]) == 0  # its driver tells W&B
    assert len(told) == 4
    half_done.release()


def test_a_sweep_is_steered_under_its_path(monkeypatch, capsys):
    monkeypatch.setattr(registration, "_wandb", lambda *arguments: "Done.")
    registration.steer(SweepLink("abc"), "stop")
    assert capsys.readouterr().err == "the sweep abc is stopped at W&B\n"


def test_a_sweep_is_explained_as_json(half_done, capsys):
    assert main(["sweeps", "explain", half_done.name, "--trial=1", "--json"]) == 0
    (trial,) = json.loads(capsys.readouterr().out)
    assert (trial["trial"], trial["state"], trial["decisions"]) == (1, "finished", [])
    assert [(run["state"], run["attempts"], run["cause"]) for run in trial["runs"]] == [("finished", 1, None)]
