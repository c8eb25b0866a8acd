"""What an agent may start: runs and sweeps within a budget, kept to their minutes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from text_recognizer.errors import RunError
from text_recognizer.tests.waiting import PATIENCE_S
from training import cli
from training.mcp import keeper
from training.mcp.budget import Budget
from training.mcp.tools import Tools
from training.runs.run import Run
from training.sweeps.folder import SweepFolder
from training.tests.mcp.mcp_support import SPEC, called


def test_without_a_budget_nothing_is_started(tools, root):
    assert "the budget has 0 of 0 runs left" in called(tools, "run_experiment", spec=SPEC, minutes=1)
    assert "the budget has 0 of 0 runs left" in called(tools, "run_sweep", sweep={}, name="s", runs=1, minutes=1)
    assert [path.name for path in root.iterdir()] == ["default"]


def spec(**changes):
    return {**SPEC, **changes}


@pytest.mark.parametrize(
    ("wanted", "minutes", "sentence"),
    [
        (SPEC, 5.5, "the budget has 5 of 5 minutes left, and 5.5 are requested"),
        (SPEC, 0, "must be greater than 0"),
        (spec(train_args={"minutes": 3}), 2, "train_args.minutes must be at most the 2 minutes"),
        (spec(network="mpl"), 1, "Did you mean 'mlp'?"),
        (spec(network="stranger:Net"), 1, "is code from elsewhere: a spec of an agent names it"),
        (spec(train_args={"optimizer": "stranger:make"}), 1, "is code from elsewhere"),
        (spec(experiment_group="x" * 200_000), 1, "a spec may have at most 100,000 characters"),
        ({}, 1, "the key 'dataset' is missing"),
    ],
)
def test_a_run_that_is_wrong_or_over_the_budget_is_not_started(root, tmp_path, monkeypatch, wanted, minutes, sentence):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    tools = Tools(Budget(1, 5))
    assert sentence in called(tools, "run_experiment", spec=wanted, minutes=minutes)
    assert tools.budget.left() == {"runs_left": 1, "minutes_left": 5}


SWEEP = {
    "method": "grid",
    "metric": {"name": "val_loss"},
    "parameters": {"network_args.layer_size": {"values": [4, 8]}},
}


@pytest.mark.parametrize(
    ("changes", "arguments", "sentence"),
    [
        ({"metric": {"name": "test_accuracy"}}, {}, "test_accuracy is a figure of the test split, which is sealed"),
        ({"command": ["${program}", "/etc/passwd"]}, {}, "the sweep of an agent has no 'command'"),
        ({"parameters": {"network": {"values": ["mlp", "stranger:Net"]}}}, {}, "is code from elsewhere"),
        ({"parameters": {"network_args.layer_size": {"values": [-1]}}}, {}, "layer_size"),
        ({"method": "guess"}, {}, "guess"),
        ({}, {"name": "default"}, "there is a group or sweep 'default' already"),
        ({}, {"runs": 3}, "the budget has 2 of 2 runs left, and 3 are requested"),
        ({}, {"jobs": 10**9}, "must be at most 64"),
    ],
)
def test_a_sweep_that_is_wrong_or_over_the_budget_is_not_started(root, changes, arguments, sentence):
    asked = {"name": "../widths", "runs": 2, "minutes": 1, **arguments}
    assert sentence in called(Tools(Budget(2, 5)), "run_sweep", sweep=SWEEP | changes, **asked)
    assert {path.name for path in root.parent.iterdir()} <= {"runs", "locks"}
    assert [path.name for path in root.iterdir()] == ["default"]


def test_a_process_that_ends_before_there_is_a_run_costs_nothing_and_says_why(root):
    tools = Tools(Budget(2, 10))
    tools.budget.start(root / "default" / "new", 2, 4, ["-c", "import sys; sys.exit('no such data')"])
    assert tools.budget.left() == {"runs_left": 0, "minutes_left": 6} or not tools.budget.started[0].is_at_work
    tools.budget.started[0].process.wait(PATIENCE_S)
    assert tools.budget.left() == {"runs_left": 2, "minutes_left": 10}
    shown = called(tools, "show_run", run="new")
    assert (shown["state"], shown["said"]) == ("failed", "no such data")
    assert called(tools, "stop", run="new", why="a mistake") == "new ended before it began: no such data"


def test_what_has_not_begun_is_ended_by_a_stop(root):
    tools = Tools(Budget(1, 10))
    tools.budget.start(root / "default" / "new", 1, 4, ["-c", "import time; time.sleep(1000)"])
    assert called(tools, "show_run", run="new")["state"] == "starting"
    assert "ended before it began" in called(tools, "stop", run="new", why="a mistake")["said"]
    tools.budget.started[0].process.wait(PATIENCE_S)
    assert tools.budget.left() == {"runs_left": 1, "minutes_left": 10}


def test_minutes_that_were_used_stay_used(root):
    budget = Budget(3, 10)
    budget.start(root / "default" / "good", 1, 4, ["-c", ""])
    run = Run.open(root / "default" / "good")
    run.note(times={"started": 1000.0, "ended": 1090.0})
    budget.started[0].process.wait(PATIENCE_S)
    assert budget.left() == {"runs_left": 2, "minutes_left": 8.5}


def test_a_run_is_asked_to_stop_when_its_minutes_are_over(root, monkeypatch):
    monkeypatch.setattr(keeper, "EVERY_S", 0.05)
    run = Run.open(root / "default" / "busy")
    run.note(times={"created": time.time() - 300, "started": time.time() - 300})
    waits = f"import os, time\nwhile not os.path.exists({str(run.folder / 'stop_request')!r}): time.sleep(0.05)"
    assert keeper.keep(run.folder, 4, subprocess.Popen([sys.executable, "-c", waits])) == 0
    assert (run.folder / "stop_request").read_text().startswith("the 4 minutes that its agent gave it are over\n")


def test_minutes_are_kept_to_after_a_moment_in_which_nothing_can_be_read(root, monkeypatch, capsys):
    monkeypatch.setattr(keeper, "EVERY_S", 0.05)
    looks = iter([RunError("the disk is away.")])

    def rows_at(place):
        for error in looks:
            raise error
        process.terminate()
        return []

    monkeypatch.setattr(keeper, "rows_at", rows_at)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    assert keeper.keep(root, 1, process) != 0
    assert "the disk is away" in capsys.readouterr().err


def test_a_sweep_starts_no_more_when_its_minutes_are_over(root, monkeypatch):
    monkeypatch.setattr(keeper, "EVERY_S", 0.05)
    (root / "default" / "sweep.json").write_text('{"name": "default"}')
    for name in ("good", "busy"):  # together longer than the limit, each shorter
        run = Run.open(root / "default" / name)
        run.note(times={"started": time.time() - 90, **({"ended": time.time()} if name == "good" else {})})
    waits = (
        f"import os, time\n"
        f"while not os.path.exists({str(root / 'default' / 'busy' / 'stop_request')!r}): time.sleep(0.05)"
    )
    assert keeper.keep(root / "default", 2.5, subprocess.Popen([sys.executable, "-c", waits])) == 0
    assert SweepFolder(root / "default").wish == "stop"
    assert not (root / "default" / "good" / "stop_request").exists()


def test_an_agent_runs_an_experiment_and_a_sweep_over_standard_input_and_output(tmp_path, digits_prepared, warm):
    environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(tmp_path / "runs"), "WANDB_MODE": "disabled"}
    command = [str(warm.programs / "text-recognizer"), "mcp", "--runs=2", "--minutes=20"]
    server = StdioServerParameters(command=command[0], args=command[1:], env=environ, cwd=str(tmp_path))

    async def until_over(client, name, **arguments):
        deadline = time.monotonic() + 4 * PATIENCE_S
        while time.monotonic() < deadline:
            shown = (await client.call_tool(name, arguments)).structured_content
            if shown["state"] not in ("starting", "created", "running", "interrupted"):
                return shown
            await asyncio.sleep(0.2)
        raise AssertionError(shown)

    async def agent():
        async with Client(server) as client:
            started = (await client.call_tool("run_experiment", {"spec": SPEC, "minutes": 10})).structured_content
            assert started["budget"] == {"runs_left": 1, "minutes_left": 10}
            swept = {"sweep": {"experiments": [SPEC, SPEC]}, "name": "two", "runs": 2, "minutes": 5}
            refused = await client.call_tool("run_sweep", swept)
            assert "the budget has 1 of 2 runs left" in refused.structured_content["error"]
            begun = (await client.call_tool("run_sweep", {**swept, "runs": 1})).structured_content
            assert begun["name"] == "two"
            run = await until_over(client, "show_run", run=started["id"])
            assert run["state"] == "finished", run
            assert [*run["summary"]][:1] == ["val_loss"]
            sweep = await until_over(client, "show_sweep", sweep="two")
            assert (sweep["finished"], len(sweep["trials_shown"])) == (1, 1)
            figures = await client.call_tool("test_figures", {"run": started["id"], "why": "the end"})
            assert 0 <= figures.structured_content["figures"]["test_accuracy"] <= 1
            while (left := (await client.call_tool("devices")).structured_content["budget"])["minutes_left"] <= 15:
                await asyncio.sleep(0.2)  # a process ends a little after its run
            return left

    left = asyncio.run(asyncio.wait_for(agent(), 8 * PATIENCE_S))
    assert left["runs_left"] == 0
    assert 15 < left["minutes_left"] < 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_with_ctrl_c_while_it_waits_for_its_client(number, warm):
    command = [warm.programs / "text-recognizer", "mcp"]
    asked = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["id"] == 1
        server.send_signal(number)
        try:
            assert server.wait(PATIENCE_S) != 0
        finally:
            server.kill()


def test_a_line_that_is_no_message_is_answered_with_an_error_and_no_id(warm):
    # MCP has no batches since 2025-06-18.
    lines = ["{bad json", "", " \r", '{"id": 7}', '[{"jsonrpc": "2.0", "id": 7, "method": "ping"}]']
    command = [warm.programs / "text-recognizer", "mcp"]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["error"]["code"] for answer in answers] == [-32700, -32600, -32600]
    assert [answer["id"] for answer in answers] == [None, None, None]


@pytest.mark.parametrize("arguments", [["--runs=-1"], ["--minutes=nan"], ["--minutes=inf"], ["--runs=many"]])
def test_a_wrong_budget_is_refused(arguments, capsys):
    assert cli.main(["mcp", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
