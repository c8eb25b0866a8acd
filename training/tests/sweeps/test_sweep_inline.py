"""--isolation inline: the runs of a sweep in the driver's own thread, steered as if they had processes of their own."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.tests.waiting import wait_until
from training.attempts.stopping import StopWatcher
from training.devices.requests import DeviceRequest
from training.executors import in_process
from training.executors.in_process import InProcessExecutor
from training.runs.run import Run
from training.sweeps.limits import Limits
from training.tests.sweeps.sweep_support import SPACE, journal, sweep_of

GRID = SPACE.format(method="grid")


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run does: `epochs` of them, `value` of its spec, and `deed` at each epoch; it stops as real ones do."""
    told: dict[str, Any] = {"epochs": 3, "value": lambda spec: 1.0, "deed": lambda run, epoch: None, "threads": set()}

    def attempt(run: Run, *_: Any, stop_request_stands: bool, **__: Any) -> int:
        assert stop_request_stands
        told["threads"].add(threading.current_thread())
        run.hold()
        try:
            with StopWatcher(run) as watcher:
                run.set_state("running")
                for epoch in range(len(run.rows()) + 1, told["epochs"] + 1):
                    run.log({"epoch": epoch, "val_loss": told["value"](run.spec)})
                    told["deed"](run, epoch)
                    time.sleep(0.02)
                    stop = watcher.stop()
                    if stop is not None:
                        run.set_state(stop.state, stop.reason, stop.cause, epoch=epoch)
                        return stop.exit_code
                run.set_state("finished", summary={"val_loss": 1.0}, epoch=told["epochs"])
                return 0
        finally:
            run.release()

    monkeypatch.setattr(in_process, "attempt", attempt)
    monkeypatch.setattr(StopWatcher, "POLL_S", 0.0)
    return told


@pytest.fixture
def inline(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    def make(text: str = GRID, limits: Limits | None = None) -> Any:
        executor: Any = InProcessExecutor(DeviceRequest(0))
        return sweep_of(text, tmp_path, executor, limits)

    before = signal.getsignal(signal.SIGINT), threading.active_count()
    yield make
    assert (signal.getsignal(signal.SIGINT), threading.active_count()) == before


def test_runs_have_the_thread_of_the_driver(story, inline):
    sweep, _ = inline()
    assert sweep.run().exit_code == 0
    assert story["threads"] == {threading.main_thread()}
    assert [trial.state for trial in sweep.trials.values()] == ["finished"] * 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_the_sweep_at_a_checkpoint_and_it_goes_on_later(number, story, inline):
    story["deed"] = lambda run, epoch: os.kill(os.getpid(), number) if epoch == 2 else None
    sweep, told = inline()
    result = sweep.run()
    assert (result.exit_code, result.complete, len(sweep.trials)) == (130, False, 1)
    (run,) = sweep.trials[1].runs
    assert (run.ended, run.attempts, run.failures) == (None, 1, [])
    assert Run.open(run.folder).status().epoch == 2
    assert told.events == []  # nothing failed
    story["deed"] = lambda run, epoch: None
    again, _ = inline()
    assert again.run().exit_code == 0
    assert again.trials[1].runs[0].attempts == 2
    assert len(again.trials) == 6


def test_a_signal_that_the_run_did_not_see_any_more_stops_the_sweep_too(story, inline):
    story["deed"] = lambda run, epoch: os.kill(os.getpid(), signal.SIGINT) if epoch == 3 else None
    sweep, _ = inline()
    story["epochs"] = 3
    assert sweep.run().exit_code == 130
    assert len(sweep.trials) == 1


def test_ctrl_c_ends_a_sweep_that_waits(story, inline, monkeypatch):
    sweep, told = inline()
    sweep.folder.set_wish("pause")

    def interrupt_once(_: Any) -> None:  # it has waited by then
        if not sweep._interrupts:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(told, "update", interrupt_once)
    assert sweep.run().exit_code == 130
    assert sweep.trials == {}


def test_a_second_ctrl_c_ends_the_run_at_once(story, inline):
    def twice(run: Run, epoch: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    story["deed"] = twice
    sweep, _ = inline()
    result = sweep.run()
    assert (result.exit_code, len(sweep.trials)) == (130, 1)


def test_worse_runs_are_stopped_early(story, inline):
    story["epochs"] = 40
    story["value"] = lambda spec: float(spec.network_args["num_layers"])

    def wait_for_judgement(run: Run, epoch: int) -> None:
        if epoch == 10 and run.spec.network_args["num_layers"] == 2:
            wait_until(run.stop_requested)

    story["deed"] = wait_for_judgement
    sweep, _ = inline(GRID + "early_terminate: {type: hyperband, min_iter: 2}\n")
    assert sweep.run().exit_code == 0
    # The first of each pair is as good as the best so far; the second is worse and ends before its 11th epoch.
    assert [trial.state for trial in sweep.trials.values()] == ["finished", "stopped"] * 3
    for trial in sweep.trials.values():
        rows = Run.open(trial.runs[0].folder).rows()
        assert len(rows) == 40 if trial.state == "finished" else len(rows) <= 10
    decisions = [event for event in journal(sweep.folder.path) if event["event"] == "decision" and event["stop"]]
    assert len(decisions) == 3


def test_a_run_that_takes_too_long_is_stopped(story, inline):
    story["epochs"] = 10_000
    limits = Limits(trial_timeout_s=0.2, retries=0)
    sweep, _ = inline(GRID, limits)
    assert sweep.run().failed
    assert all(trial.runs[0].failures == ["time-out"] for trial in sweep.trials.values())


def test_a_sweep_is_cancelled_while_a_run_is_at_work(story, inline):
    story["epochs"] = 10_000
    sweep, _ = inline()
    story["deed"] = lambda run, epoch: sweep.folder.set_wish("cancel") if epoch == 3 else None
    assert sweep.run().ended == "asked to cancel"
    assert Run.open(sweep.trials[1].runs[0].folder).status().error == "the sweep was cancelled"


def test_an_error_of_the_loop_ends_the_sweep(story, inline):
    sweep, _ = inline()

    def broken(over: object) -> None:
        raise ZeroDivisionError("a bug")

    sweep._read_reports = broken
    with pytest.raises(ZeroDivisionError, match="a bug"):
        sweep.run()


def test_a_run_that_ends_the_program_leaves_nobody_waiting(story, tmp_path, inline):
    def fail(run: Run, epoch: int) -> None:
        raise SystemExit("for good")

    story["deed"] = fail
    executor: Any = InProcessExecutor(DeviceRequest(0))
    sweep, _ = sweep_of(GRID, tmp_path, executor)
    with pytest.raises(SystemExit, match="for good"):
        sweep.run()


def test_the_environment_is_as_before_and_never_empty(story, inline, monkeypatch):
    monkeypatch.setenv("SETTING", "before")

    def change(run: Run, epoch: int) -> None:
        os.environ["SETTING"] = "of the run"
        os.environ["MORE"] = "of the run"

    story["deed"] = change
    sweep, _ = inline()
    sweep.run()
    assert os.environ["SETTING"] == "before"
    assert "MORE" not in os.environ
