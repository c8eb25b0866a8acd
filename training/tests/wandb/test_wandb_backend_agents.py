"""Sweeps on the stand-in of the W&B backend, with the real command line and the real agent."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from text_recognizer.tests.waiting import wait_until
from training.sweeps.wandb.registration import is_over
from training.tests.wandb.backend_sweep_steps import GRID, agent_of, begin, commands, end, register
from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Program, run_script, script, wandb
from training.tests.wandb.wandb_backend_records import StoredRun
from training.tracking.wandb.sweep_link import SweepLink

FOUR_RUNS = """
program: train.py
method: grid
project: swept
name: four runs
metric: {name: loss, goal: minimize}
parameters:
  lr: {values: [1, 2]}
  network_args: {parameters: {units: {values: [8, 16]}}}
"""


@pytest.fixture(scope="module", autouse=True)
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WandbBackend, Program, Program]]:
    """An agent and a run to be stopped with all of W&B's own waiting: they wait beside the other tests."""
    with running_backend(tmp_path_factory.mktemp("patient")) as backend:
        script(
            backend,
            "run = wandb.init(config={'lr': 7, 'other': 1})\n"
            "run.log({'loss': run.config.lr * run.config.network_args['units']})\n"
            "print('arguments', sys.argv[1:])\n",
        )
        (backend.folder / "sweep.yaml").write_text(FOUR_RUNS)
        output = Program(backend, "wandb", "sweep", "sweep.yaml", hurried=False).succeed()
        assert "Run sweep agent with: wandb agent tester/swept/sweep001" in output
        agent = Program(backend, "wandb", "agent", "tester/swept/sweep001", hurried=False)
        text = (
            "run = wandb.init(project='stopped', id='endless')\nwhile True:\n    run.log({'x': 1}); time.sleep(0.05)\n"
        )
        endless = Program(backend, sys.executable, script(backend, text, "endless.py"), hurried=False)
        backend.wait_until(lambda: "endless" in backend.runs, program=endless)
        backend.stop("endless")
        yield backend, agent, endless


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


STORY = """
run = wandb.init(resume="allow")
x, first = run.config.x, run.starting_step
if x == "preempted" and first == 0:
    run.log({"loss": 1.0})
    run.mark_preempting()
    run.finish(exit_code=143)
    sys.exit(143)
if x == "killed" and first == 0:
    run.log({"loss": 1.0})
    run.mark_preempting()
    time.sleep(600)
if x == "stopped":
    run.log({"loss": 1.0})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(600)
for step in range(first, 3):
    run.log({"loss": float(step)})
run.finish()
"""


def kill(backend: WandbBackend, pattern: str) -> None:
    """Kills the program whose command line matches, and returns when W&B's process of it is gone as well."""

    def matching(text: str) -> list[int]:
        found = []
        for process in backend.processes():
            try:
                command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found += [process] if re.search(text, command) else []
        return found

    # A program that is just starting another has a second process of its name for a moment.
    (program,) = wait_until(lambda: found if len(found := matching(pattern)) == 1 else [])
    os.kill(program, signal.SIGKILL)
    wait_until(lambda: not matching(rf"wandb-core.*\b{program}\b"))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
def test_runs_that_are_preempted_killed_or_stopped_go_their_ways_under_the_agent(backend):
    script(backend, STORY)
    text = "program: train.py\nmethod: grid\nparameters: {x: {values: [preempted, killed, stopped]}}\n"
    sweep = register(backend, text)
    agent = Program(backend, "wandb", "agent", sweep.path)

    def run_for(value: str) -> StoredRun | None:
        return next((run for run in sweep.runs if run.suggestion == {"x": value}), None)

    backend.wait_until(lambda: (run := run_for("killed")) and run.preempting and run.history, program=agent)
    sweep.state = "PAUSED"  # or the agent may ask for another run before this one counts as preempted
    kill(backend, "train.py --x=killed")
    backend.lose_contact("s001r002")
    sweep.state = "RUNNING"
    backend.wait_until(lambda: (run := run_for("stopped")) and run.history, program=agent)
    backend.stop_by_agent("s001r003")
    agent.succeed()
    told = [(command["type"], command.get("run_id")) for command in sweep.agents[0].commands]
    assert list(dict.fromkeys(told)) == [
        ("run", "s001r001"),
        ("resume", "s001r001"),
        ("run", "s001r002"),
        ("resume", "s001r002"),
        ("run", "s001r003"),
        ("stop", "s001r003"),
        ("exit", None),
    ]
    for run in sweep.runs[:2]:
        assert run.state == "finished"
        assert [(row["_step"], row["loss"]) for row in run.history] == [(0, 1.0), (1, 1.0), (2, 2.0)]
        assert run.resent == []
    assert (sweep.runs[2].state, sweep.runs[2].exit_code) == ("finished", 0)
    assert sweep.state == "FINISHED"


def test_the_command_line_registers_and_steers_sweeps(backend):
    (backend.folder / "sweep.yaml").write_text("method: gird\nprogram: p.py\nparameters: {x: {values: [1]}}\n")
    run_script(backend, "wandb.init(project='swept', id='old', config={'x': 1}).finish()")
    output = wandb(backend, "sweep", "-p", "swept", "-R", "old", "sweep.yaml")
    assert "'gird' is not one of ['bayes', 'random', 'grid', 'custom']" in output
    (sweep,) = backend.sweeps.values()
    assert sweep.config == {"method": "gird", "program": "p.py", "parameters": {"x": {"values": [1]}}}
    assert [run.id for run in sweep.prior_runs] == ["old"]
    sweep.state = "RUNNING"
    wandb(backend, "sweep", "--pause", sweep.path)
    assert sweep.state == "PAUSED"
    wandb(backend, "sweep", "--cancel", sweep.path)
    assert sweep.state == "CANCELED"
    refused = Program(backend, "wandb", "agent", sweep.path)
    output = refused.ended()
    assert refused.returncode == 1
    assert "is not running" in output
    with patch.dict(os.environ, backend.environ):
        assert is_over(SweepLink.parse(sweep.path))
        sweep.state = "PAUSED"
        assert not is_over(SweepLink.parse(sweep.path))


def test_the_public_interface_reads_runs_and_sweeps(backend):
    sweep = register(backend, GRID)
    agent = agent_of(backend, sweep)
    for number, loss in ((1, 0.5), (2, 0.25)):
        commands(backend, agent)
        begin(backend, f"s001r00{number}", 1.0, loss).summary = {"loss": loss, "_step": 1}
        end(backend, f"s001r00{number}")
        backend.runs[f"s001r00{number}"].files["log.txt"] = b"a log"
    output = run_script(
        backend,
        """
import json
api = wandb.Api()
sweep = api.sweep("tester/swept/sweep001")
runs = list(sweep.runs)
print("JSON", json.dumps({
    "sweep": [sweep.state, sweep.config["method"], sweep.best_run().id],
    "sweeps": [item.id for item in api.project("swept").sweeps()],
    "runs": [[run.id, run.config["a"], run.summary["loss"], run.state, run.lastHistoryStep] for run in runs],
    "history": [row["loss"] for row in runs[0].history(keys=["loss"], pandas=False)],
    "scan": [row["loss"] for row in runs[0].scan_history()],
    "file": open(runs[0].file("log.txt").download(root="got").name).read(),
    "filtered": [run.id for run in api.runs("tester/swept", {"config.a": 2, "summary_metrics.loss": {"$lt": 0.3}})],
    "ordered": [run.id for run in api.runs("tester/swept", order="+summary_metrics.loss", per_page=1)],
    "agents": [[run.id for run in agent.runs()] for agent in sweep.agents()],
}))
runs[1].config["note"] = "late"
runs[1].tags = ["seen"]
runs[1].update()
runs[0].delete()
""",
    )
    answers = json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[4:])
    assert answers["sweep"] == ["RUNNING", "grid", "s001r002"]
    assert answers["sweeps"] == ["sweep001"]
    assert answers["runs"] == [["s001r001", 1, 0.5, "finished", 1], ["s001r002", 2, 0.25, "finished", 1]]
    assert answers["history"] == answers["scan"] == [1.0, 0.5]
    assert (answers["file"], answers["filtered"]) == ("a log", ["s001r002"])
    assert answers["ordered"] == ["s001r002", "s001r001"]
    assert answers["agents"] == [["s001r001", "s001r002"]]
    assert backend.runs.keys() == {"s001r002"}
    assert backend.runs["s001r002"].config == {"a": 2, "b": "x", "note": "late"}
    assert backend.runs["s001r002"].tags == ["seen"]


# With all of W&B's own waiting: last, because they began first


def test_a_run_stopped_in_the_browser_is_interrupted(patient):
    backend, _, endless = patient
    output = endless.ended()
    assert "KeyboardInterrupt" in output
    assert endless.returncode == -signal.SIGINT
    assert (backend.runs["endless"].state, backend.runs["endless"].exit_code) == ("killed", 255)


def test_the_agent_runs_the_whole_grid(patient):
    backend, agent, _ = patient
    output = agent.succeed()
    sweep = backend.sweeps["sweep001"]
    assert (sweep.state, sweep.display_name) == ("FINISHED", "four runs")
    points = [(lr, units) for lr in (1, 2) for units in (8, 16)]
    for run, (lr, units) in zip(sweep.runs, points, strict=True):
        assert run.suggestion == {"lr": lr, "network_args": {"units": units}}
        assert run.config == {"lr": lr, "network_args": {"units": units}, "other": 1}  # the sweep's value wins
        assert run.values("loss") == [lr * units]
        assert (run.state, run.sweep, run.project) == ("finished", "sweep001", "swept")
    assert "arguments ['--lr=2', \"--network_args={'units': 16}\"]" in output
    assert [command["type"] for command in sweep.agents[0].commands] == ["run"] * 4 + ["exit"]
