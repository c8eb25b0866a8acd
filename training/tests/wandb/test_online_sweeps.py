"""Sweeps that W&B keeps: the same as offline, and `run_sweep --engine wandb` with agents that stop, die and fail."""

import csv
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from text_recognizer.errors import DeviceError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.run_sweep import main
from training.runs.causes import Cause
from training.runs.run import Run
from training.sweeps.folder import SweepFolder, Wish, find_sweep
from training.sweeps.plan_file import read_plan
from training.sweeps.wandb import serve
from training.tests.pausing_digits import PAUSING, pause
from training.tests.wandb.online_support import SPEC, environ, plain_rows, register, runs_below, warm_path
from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Program, WarmProgram
from training.tests.wandb.wandb_backend_suggestions import suggest_ours
from training.tracking.wandb.sweep_link import SweepLink

SWEEP = """
program: training/run_sweep.py
method: grid
project: swept
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.2}}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [8, 16]}
  train_args:
    parameters:
      epochs: {value: EPOCHS}
      learning_rate: {values: [0.01, 0.001]}
      optimizer_args: {value: {nesterov: true}}
      optimizer: {value: sgd}
      checkpoint_interval_s: {value: 0}
"""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


def run_sweep(backend: WandbBackend, *arguments: str, **more: str) -> Program:
    command = (sys.executable, "-m", "training.run_sweep", "--gpu=none", *arguments)
    return Program(backend, *command, environ=environ(backend) | more)


def by_point(runs: list[Run]) -> dict[str, Run]:
    """By spec, group left aside."""
    found = {}
    for run in runs:
        spec = run.read_json("spec.json")
        assert spec.pop("experiment_group") == run.folder.parent.name
        found[json.dumps(spec, sort_keys=True)] = run
    assert len(found) == len(runs)
    return found


def test_a_sweep_is_the_same_offline_and_served_by_an_agent(backend, digits_prepared, warm):
    backend.store.suggest = suggest_ours(seed=0)
    text = SWEEP.replace("EPOCHS", "2").replace("[8, 16]", "[16, 8, 12]").replace("[0.01, 0.001]", "[0.01]")
    path = register(backend, text)
    agent = Program(backend, "wandb", "agent", path, environ=environ(backend) | warm_path(warm))
    (backend.folder / "offline.yaml").write_text(text)
    command = ("run_sweep", "--gpu=none", "--nowandb", "offline.yaml")
    offline_sweep = WarmProgram(backend, warm, *command, environ=environ(backend))
    offline_sweep.succeed(2 * PATIENCE_S)
    agent.succeed(2 * PATIENCE_S)
    runs = list(runs_below(backend.folder).values())
    offline = by_point([run for run in runs if run.folder.parent.name == "offline"])
    online = by_point([run for run in runs if run.folder.parent.name == "sweep-sweep001"])
    assert len(offline) == 3
    assert offline.keys() == online.keys()
    for point, run in offline.items():
        same = online[point]
        assert plain_rows(same) == plain_rows(run)
        assert same.status().summary == run.status().summary
        assert backend.runs[same.id].state == "finished"
        assert {name: backend.runs[same.id].summary[name] for name in run.status().summary} == run.status().summary
    # In the same order, too: times tell it here, W&B's list of runs there.
    here = [point for point, run in sorted(offline.items(), key=lambda pair: pair[1].status().times["created"])]
    there = {run.id: point for point, run in online.items()}
    assert [there[run.id] for run in backend.sweeps["sweep001"].runs] == here


def at_work(backend: WandbBackend, earlier: Mapping[str, int] = MappingProxyType({})) -> Run | None:
    """A run that has written two reports since it was started last.

    Args:
        earlier: how many reports runs had before.
    """
    runs = runs_below(backend.folder).values()
    found = (run for run in runs if len(run.rows()) >= earlier.get(run.id, 0) + 2)
    return next((run for run in found if run.status().state == "running"), None)


def agent_of(run: Run) -> int:
    process = int(run.read_json("launch.json")["attempts"][-1]["process"])
    return os.getsid(process)


def test_a_sweep_served_from_here_survives_ctrl_c_and_dead_agents(backend, digits_prepared):
    text = SWEEP.replace("EPOCHS", "10").replace("[0.01, 0.001]", "[0.01]")
    (backend.folder / "served.yaml").write_text(text.replace("DigitsDataset", PAUSING))
    gate = backend.folder / "gate"
    pausing = pause(gate, after=2)
    first = run_sweep(backend, "served.yaml", "--engine", "wandb", "--jobs", "1", **pausing)
    run = first.until(lambda: at_work(backend))
    assert run is not None
    first.send_signal(signal.SIGINT)
    output = first.ended()
    assert first.returncode == 130, output
    assert "registered  tester/swept/sweep001" in output
    assert "serve it    wandb agent tester/swept/sweep001" in output
    assert run.status().state == "preempted"
    assert backend.runs[run.id].state == "preempted"

    # The same command goes on; an agent that is killed is replaced, and its run goes on.
    earlier = {run.id: len(run.rows())}
    second = run_sweep(backend, "served.yaml", "--engine", "wandb", "--jobs", "2", **pausing)
    of_second = second.until(lambda: at_work(backend, earlier))
    assert of_second is not None
    os.kill(agent_of(of_second), signal.SIGKILL)
    folder = find_sweep("served", backend.folder / "runs")
    wishes: tuple[tuple[Wish, str], ...] = (("pause", "PAUSED"), ("run", "RUNNING"))
    for wish, state in wishes:
        folder.set_wish(wish)
        backend.wait_until(lambda state=state: backend.sweeps["sweep001"].state == state, program=second)
    gate.unlink()
    output = second.ended(2 * PATIENCE_S)
    assert second.returncode == 0, output
    assert "broke down (exit code -9)" in output
    assert len(backend.sweeps) == 1
    sweep = backend.sweeps["sweep001"]
    assert (sweep.state, [run.state for run in sweep.runs]) == ("FINISHED", ["finished", "finished"])
    for sent in sweep.runs:
        mine = Run.open(folder.path / sent.id)
        assert mine.status().state == "finished"
        assert [row["_step"] for row in sent.history] == list(range(1, 12))
    with open(folder.path / "leaderboard.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["network_args.layer_size"] for row in rows} == {"8", "16"}
    assert (folder.path / "report.html").exists()
    assert json.loads((folder.path / "best_spec.json").read_text())["experiment_group"] == "served"


def test_a_sweep_whose_runs_fail_fails(backend, digits_prepared):
    (backend.folder / "failing.py").write_text("raise SystemExit(1)\n")
    text = SWEEP.replace("EPOCHS", "1").replace("training/run_sweep.py", "failing.py")
    (backend.folder / "failing.yaml").write_text(text)
    backend.store.lease_s = 0
    program = run_sweep(backend, "failing.yaml", "--engine", "wandb", "--jobs", "1")
    output = program.ended()
    assert program.returncode == 1
    assert "error: no agent was given a run" in output or "error: no run finished" in output


def test_wishes_reach_wandb_also_when_nobody_serves_the_sweep_from_here(backend, warm):
    register(backend, SWEEP.replace("EPOCHS", "1"))
    plan = read_plan(backend.folder / "registered.yaml", name="kept")
    folder = SweepFolder.of(plan, backend.folder / "runs")
    folder.create_or_check(plan)
    folder.write_text("wandb.json", json.dumps({"id": "sweep001", "project": "swept", "entity": "tester"}))
    for action, state in (("stop", "FINISHED"), ("resume", "RUNNING"), ("pause", "PAUSED"), ("cancel", "CANCELED")):
        steer = ("text-recognizer", "sweeps", action, "kept")
        WarmProgram(backend, warm, *steer, environ=environ(backend)).succeed()
        assert backend.sweeps["sweep001"].state == state
    again = WarmProgram(backend, warm, "text-recognizer", "sweeps", "stop", "kept", environ=environ(backend))
    output = again.ended()
    assert again.returncode == 2
    assert "W&B did not stop the sweep tester/swept/sweep001: Exception: Sweep already canceled." in output


def test_a_gpu_that_broke_under_an_agents_run_is_put_into_quarantine(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_LOCKS", str(tmp_path / "locks"))
    (tmp_path / "kept.yaml").write_text(SWEEP.replace("EPOCHS", "1"))
    plan = read_plan(tmp_path / "kept.yaml")
    folder = SweepFolder.of(plan, tmp_path / "runs")
    folder.create_or_check(plan)
    folder.hold()
    journal = serve._Journal(plan, folder, SweepLink("abc"))
    for name, host in (("here", socket.gethostname()), ("there", "another")):
        run = Run.create(ExperimentSpec.parse(SPEC | {"experiment_group": "kept"}), name, folder.path.parent)
        SweepLink("abc").write(run)
        run.write_json("launch.json", {"attempts": [{"host": host, "device_uuids": [f"GPU-{name}"]}]})
        run.set_state("failed", "InternalError: uncorrectable ECC error", Cause.BROKEN_DEVICE)
    (tmp_path / "locks").write_text("no folder: the agents go on")
    journal.update()
    assert "warning: GPU-here cannot be put into quarantine: " in capsys.readouterr().err
    (tmp_path / "locks").unlink()
    ended = Run(folder.path / "here")
    ended.write_json("launch.json", {"attempts": [*ended.attempts(), *ended.attempts()]})
    journal.update()
    assert journal.broken_devices == {"GPU-here"}
    with pytest.raises(DeviceError, match="In quarantine: GPU-here"):
        GPUManager().clear_quarantine("GPU-there")
    folder.release()


class OneAgentWhoseRunIsKilled:
    """Stands in for `Agents`: the process of its run dies, and then W&B ends the sweep."""

    interrupted, broken = False, 0
    broken_devices: frozenset[str] = frozenset()
    wish: Wish = "run"
    is_removed = False  # the folder of the run, afterwards

    def __init__(self, sweep: SweepLink, folder: Path, *_: Any) -> None:
        self.sweep, self.folder = sweep, SweepFolder(folder)

    def serve(self, look: Callable[[], None], _wish: Callable[[], Wish]) -> None:
        spec = ExperimentSpec.parse(SPEC | {"experiment_group": self.folder.name})
        run = Run.create(spec, "killed", self.folder.path.parent)
        self.sweep.write(run)
        run.write_json("launch.json", {"attempts": [{}]})
        run.set_state("running")
        self.folder.set_wish(self.wish)
        look()
        if self.is_removed:
            shutil.rmtree(run.folder)


def test_a_run_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    (tmp_path / "kept.yaml").write_text(SWEEP.replace("EPOCHS", "1"))
    plan = read_plan(tmp_path / "kept.yaml")
    folder = SweepFolder.of(plan, tmp_path / "runs")
    folder.create_or_check(plan)
    folder.hold()
    link, read_link, reads = SweepLink("abc"), SweepLink.read, []

    def read(run: Run) -> SweepLink | None:
        reads.append(run.id)
        return read_link(run)

    monkeypatch.setattr(SweepLink, "read", read)
    journal = serve._Journal(plan, folder, link)
    spec = ExperimentSpec.parse(SPEC | {"experiment_group": "kept"})
    runs = [Run.create(spec, name, folder.path.parent) for name in ("one", "two")]
    for run in runs:
        link.write(run)
        run.set_state("running")
    journal.update()
    journal.update()
    assert sorted(reads) == ["one", "two"]
    runs[1].write_json("launch.json", {"attempts": [{}, {}]})
    runs[1].set_state("finished")
    journal.update()
    assert reads[2:] == ["two"]
    assert [(trial.state, trial.runs[0].attempts) for trial in folder.trials().values()] == [
        ("pending", 0),
        ("finished", 2),
    ]
    folder.release()


@pytest.mark.parametrize(
    ("wish", "is_removed", "why", "code"),
    [
        ("run", False, "no run finished", 1),
        ("cancel", False, "asked to cancel", 0),
        ("run", True, "no run finished", 1),
    ],
)
def test_the_end_of_a_sweep_says_who_ended_it_and_how_a_killed_run_continues(
    wish, is_removed, why, code, tmp_path, monkeypatch, capsys
):
    (tmp_path / "kept.yaml").write_text(SWEEP.replace("EPOCHS", "1"))
    plan = read_plan(tmp_path / "kept.yaml")
    folder = SweepFolder.of(plan, tmp_path / "runs")
    folder.create_or_check(plan)
    folder.write_text("wandb.json", json.dumps({"id": "abc"}))
    monkeypatch.setattr(
        serve, "Agents", type("Agents", (OneAgentWhoseRunIsKilled,), {"wish": wish, "is_removed": is_removed})
    )
    assert serve.serve(plan, folder, tmp_path / "kept.yaml", 1, DeviceRequest(0)) == code
    output = capsys.readouterr().out
    assert f"ended       {why} (1 pending)" in output
    how = "W&B does not start runs that were killed again: run_experiment --resume killed --wandb online"
    assert (how in output) != is_removed


@pytest.mark.parametrize(
    ("flags", "change", "message"),
    [
        (["--seeds=2", "--set", "seed=1"], None, "--set, --seeds cannot be combined with --engine wandb"),
        (["--retries=5"], None, "--retries cannot be combined with --engine wandb"),
        (["--wandb=offline"], None, "--wandb offline and --engine wandb cannot be combined"),
        ([], ("training/run_sweep.py", "nosuch.py"), "`program: nosuch.py`: there is no such file here"),
        ([], ("grid", "gird"), "'gird'"),
        ([], ("layer_size", "layer_siz"), "Did you mean 'layer_size'?"),
        (["--gpu=GPU-1234"], None, "GPU-1234"),
        ([], None, "no W&B key found"),
    ],
)
def test_what_cannot_be_served_is_refused_before_wandb_hears_of_it(
    flags, change, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "run_sweep.py").touch()
    text = SWEEP.replace("EPOCHS", "1")
    (tmp_path / "sweep.yaml").write_text(text.replace(*change) if change else text)
    arguments: list[Any] = ["sweep.yaml", "--engine", "wandb", *flags]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
