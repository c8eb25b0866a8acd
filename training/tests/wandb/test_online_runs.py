"""Online runs against the stand-in of the W&B backend: stopped there, preempted, and with a backend in trouble."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training.runs.run import Run
from training.tests.pausing_digits import PAUSING, pause
from training.tests.wandb.online_support import SPEC, TO_BEGIN, environ, plain_rows, runs_below
from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Printing, WarmProgram
from training.tests.warm_commands import Warm
from training.tracking.mirror import read_state


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


@pytest.fixture
def start(backend: WandbBackend, warm: Warm) -> Callable[..., WarmProgram]:
    def start(*arguments: str, **more: str) -> WarmProgram:
        command = ("run_experiment", "--gpu=none", "--wandb=online", *arguments)
        return WarmProgram(backend, warm, *command, environ=environ(backend) | more)

    return start


def the_run(backend: WandbBackend) -> Run:
    (run,) = runs_below(backend.folder).values()
    return run


def wait_for_reports(backend: WandbBackend, program: Printing, number: int = 2) -> Run:
    """The run of a program, once it and W&B have so many reports."""
    backend.wait_until(lambda: any(len(run.history) >= number for run in backend.runs.values()), program=program)
    return the_run(backend)


def steps(backend: WandbBackend, run: Run) -> list[int]:
    return [row["_step"] for row in backend.runs[run.id].history]


def test_a_run_stopped_in_the_browser_ends_at_a_checkpoint_and_goes_on_from_there(backend, start, digits_prepared):
    spec = {**SPEC, "dataset": PAUSING, "train_args": {"epochs": 1_000_000, "checkpoint_interval_s": 0}}
    pausing = pause(backend.folder / "gate", after=3)  # W&B is sent a report when the next begins
    program = start(json.dumps(spec), **pausing)
    run = wait_for_reports(backend, program)
    backend.stop(run.id)
    output = program.succeed()
    assert "stopped (stopped from W&B) after" in output
    assert (run.status().state, run.status().error) == ("stopped", "stopped from W&B")
    backend.wait_until(lambda: backend.runs[run.id].state == "finished")
    before = len(run.rows())
    assert steps(backend, run) == list(range(1, before + 1))

    # Resumed, and preempted: the same run at W&B, no step twice.
    again = start("--resume", run.id, "--trust-code", **pausing)
    backend.wait_until(lambda: len(backend.runs[run.id].history) > before, program=again)
    again.send_signal(signal.SIGTERM)
    output = again.ended()
    assert again.returncode == 143, output
    backend.wait_until(lambda: backend.runs[run.id].state == "preempted")
    assert (run.status().state, backend.runs[run.id].exit_code) == ("preempted", 143)
    assert len(run.rows()) > before
    assert steps(backend, run) == list(range(1, len(run.rows()) + 1))
    assert backend.runs.keys() == {run.id}
    assert backend.runs[run.id].resent == []


def test_a_run_whose_backend_fails_or_vanishes_has_the_same_metrics_and_is_sent_later(
    backend, start, digits_prepared, warm
):
    spec = {**SPEC, "train_args": {"epochs": 12}}
    undisturbed = start(json.dumps(spec), "--wandb=disabled")
    undisturbed.succeed()
    expected = plain_rows(the_run(backend))

    backend.fail_rate = 0.3
    failing = start(json.dumps({**spec, "experiment_group": "failing"}))
    failing.succeed()
    backend.fail_rate = 0
    backend.faults.spared, backend.faults.kinds, backend.fail_rate = TO_BEGIN, ("500",), 1
    gone = start(json.dumps({**spec, "experiment_group": "gone"}))
    backend.wait_until(lambda: any(run.group == "gone" for run in backend.runs.values()), program=gone)
    backend.vanish()  # however fast the run is, it has told nothing by now
    backend.fail_rate = 0
    output = gone.succeed()
    assert output.count("warning: the tracker wandb") == 1
    backend.return_()
    for run in (run for run in runs_below(backend.folder).values() if run.folder.parent.name != "online"):
        assert run.status().state == "finished"
        assert plain_rows(run) == expected
        process = read_state(run.folder / "wandb").get("process", 0)
        if (
            read_state(run.folder / "wandb").get("state") == "running"
        ):  # it would go on by itself; here its machine goes down
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    WarmProgram(backend, warm, "text-recognizer", "sync", "--all", environ=environ(backend)).succeed()
    assert len(backend.runs) == 2
    for run in runs_below(backend.folder).values():
        if run.folder.parent.name == "online":
            continue
        sent = backend.runs[run.id]
        names = {name for row in expected for name in row}
        assert [{name: row[name] for name in row if name in names} for row in sent.history] == expected
        assert steps(backend, run) == list(range(1, len(expected) + 1))
        assert sent.state == "finished"
        assert f"model-{run.id}:v0" in backend.artifacts
        assert f"model-{run.id}:v1" not in backend.artifacts
