"""Agents over MCP: the views of the commands without test figures, runs within a budget, and refusals in sentences."""

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S
from training import cli
from training.mcp import keeper
from training.mcp.budget import Budget
from training.mcp.server import answered, server_of
from training.mcp.tools import Tools
from training.runs.run import Run
from training.sweeps.folder import SweepFolder
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, sweep_of
from training.ui import run_views
from training.ui.index import Index

SECRET = 0.987654321  # of the test split: in no answer but that of test_figures
SPEC = {
    "dataset": "DigitsDataset",
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"num_layers": 1, "layer_size": 8},
    "train_args": {"epochs": 1, "steps_per_epoch": 2},
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A finished run `good`, one at work `busy`, one only made `idle`, and a damaged one."""
    root = tmp_path / "runs"
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(root))
    monkeypatch.setenv("TEXT_RECOGNIZER_LOCKS", str(tmp_path / "locks"))
    made = {
        name: Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", seed=seed), name)
        for seed, name in enumerate(("good", "busy", "idle", "broken"))
    }
    for name in ("good", "busy"):
        made[name].hold()
        made[name].set_state("running", epochs=9)
        made[name].log({"epoch": 4, "val_loss": 0.25})
        made[name].write_text("log.txt", "epoch 3/9\nepoch 4/9  val_loss 0.25\n")
    made["good"].log({"epoch": 4, "best_epoch": 4, "test_accuracy": SECRET})
    made["good"].write_text("log.txt", f"epoch 4/9\nresult      accuracy {SECRET}\n")
    made["good"].write_json("evaluation.json", {"split": "test", "intervals_95": {"accuracy": [0.98, SECRET]}})
    made["good"].set_state("finished", summary={"val_loss": 0.25, "test_accuracy": SECRET})
    made["good"].release()
    (made["broken"].folder / "status.json").write_text("{")
    yield root
    made["busy"].release()


@pytest.fixture
def tools(root):
    return Tools(Budget())


def called(tools, tool, /, **arguments):
    """The answer of a tool through the library's own client; the text of a refusal."""

    async def call():
        async with Client(server_of(tools)) as client:
            return await client.call_tool(tool, arguments)

    result = asyncio.run(call())
    text = result.content[0].text
    if result.is_error:
        assert result.structured_content["budget"] == tools.budget.left()
        assert "bug in Text Recognizer" not in text
        return text
    assert json.loads(text) == result.structured_content
    return result.structured_content


def test_at_most_twelve_tools_say_what_they_take_and_which_only_look(tools):
    async def listed():
        async with Client(server_of(tools)) as client:
            return (await client.list_tools()).tools

    found = asyncio.run(listed())
    assert len(found) <= 12
    assert all(tool.description and tool.input_schema["additionalProperties"] is False for tool in found)
    changing = {tool.name for tool in found if not tool.annotations.read_only_hint}
    assert changing == {"run_experiment", "run_sweep", "stop", "test_figures"}


def test_what_an_agent_sees_is_what_the_commands_say_but_for_test_figures(tools, capsys):
    assert cli.main(["runs", "show", "good", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    shown = called(tools, "show_run", run="good")
    for key in ("id", "folder", "state", "times", "spec", "epoch", "epochs", "damage"):
        assert shown[key] == expected[key]
    assert expected["summary"] == {"val_loss": 0.25, "test_accuracy": SECRET}
    assert shown["summary"] == {"val_loss": 0.25}
    assert shown["rows"] == [{"epoch": 4, "val_loss": 0.25}, {"epoch": 4, "best_epoch": 4}]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list_runs", {}),
        ("show_run", {"run": "good", "log_lines": 50}),
        ("compare_runs", {"runs": ["good", "busy"]}),
        ("list_sweeps", {}),
        ("list_parts", {"kind": "promoted"}),
    ],
)
def test_no_view_holds_a_figure_of_the_test_split(tools, name, arguments):
    answer = called(tools, name, **arguments)
    assert answer["budget"] == {"runs_left": 0, "minutes_left": 0}
    assert str(SECRET)[:5] not in json.dumps(answer)


@pytest.mark.parametrize("asked", [{"filters": ["test_accuracy>0.5"]}, {"sort": "-test_accuracy"}])
def test_runs_are_not_chosen_by_a_figure_of_the_test_split(tools, asked):
    assert "test_accuracy is a figure of the test split, which is sealed" in called(tools, "list_runs", **asked)


def test_runs_are_filtered_and_sorted_as_by_the_command(tools):
    answer = called(tools, "list_runs", filters=["val_loss<0.5", "state=finished"], sort="-val_loss")
    assert ([row["id"] for row in answer["runs"]], answer["found"], answer["total"]) == (["good"], 1, 4)
    states = {row["id"]: row["state"] for row in called(tools, "list_runs", limit=3, sort="id")["runs"]}
    assert states == {"broken": "damaged", "busy": "running", "good": "finished"}


def test_the_log_of_a_run_is_read_until_it_is_evaluated(tools):
    assert called(tools, "show_run", run="busy", log_lines=1)["log"] == "epoch 4/9  val_loss 0.25"
    assert called(tools, "show_run", run="good", log_lines=1)["log"].startswith("sealed")


def test_each_look_at_test_figures_is_counted_and_written_into_the_run(tools, root, capsys):
    answers = [called(tools, "test_figures", run="good", why=why) for why in ("the best of three", "again")]
    assert [answer["looks"] for answer in answers] == [1, 2]
    assert answers[0]["figures"] == {"test_accuracy": SECRET}
    assert answers[0]["intervals_95"] == {"accuracy": [0.98, SECRET]}
    lines = (root / "default" / "good" / "test_looks.jsonl").read_text().splitlines()
    assert [json.loads(line)["why"] for line in lines] == ["the best of three", "again"]
    assert called(tools, "show_run", run="good")["test_looks"] == 2
    assert cli.main(["runs", "show", "good"]) == 0
    assert "test looks  2, the last" in (said := capsys.readouterr().out)
    assert said.partition("test looks")[2].splitlines()[0].endswith("by mcp: again")
    index = Index(root)
    index.refresh()
    assert run_views.one(index, "default/good")["test_looks"].startswith("2, the last ")
    assert cli.main(["runs", "show", "good", "--json"]) == 0
    assert [look["why"] for look in json.loads(capsys.readouterr().out)["test_looks"]] == ["the best of three", "again"]


def test_a_run_without_test_figures_is_not_counted_as_looked_at(tools, root):
    assert "has no figures of the test split: it is running" in called(tools, "test_figures", run="busy", why="early")
    assert "needs the argument 'why'" in called(tools, "test_figures", run="good")
    assert not [*root.glob("default/*/test_looks.jsonl")]


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("show_run", {"run": "../outside"}, "a run is named by its id"),
        ("show_run", {"run": "/etc"}, "a run is named by its id"),
        ("show_run", {"run": "x" * 5000}, "run"),
        ("show_run", {"run": "good\x00"}, "a run is named by its id"),
        ("show_run", {"run": "broken"}, "status.json"),
        ("show_run", {"run": "gone"}, "there is no run 'gone'"),
        ("show_run", {"run": "good", "reports": 10**12}, "must be at most 200"),
        ("show_run", {"run": "good", "lines": 3}, "has no argument 'lines'"),
        ("show_run", {"run": 7}, "must be text"),
        ("show_run", {}, "needs the argument 'run'"),
        ("show_sweep", {"sweep": "../runs"}, "there is no sweep"),
        ("compare_runs", {"runs": ["good"] * 1000}, "runs"),
        ("list_runs", {"filters": ["colour=red"]}, "no run has the column 'colour'"),
        ("list_parts", {"kind": "network"}, "Did you mean 'networks'?"),
        ("stop", {"why": "x"}, "Give one of the two"),
        ("stop", {"why": "x", "run": "good"}, "is not running: it is finished"),
        ("drop_database", {}, "there is no tool 'drop_database'"),
    ],
)
def test_a_hostile_or_wrong_argument_is_refused_in_a_sentence(tools, name, arguments, sentence):
    refusal = called(tools, name, **arguments)
    assert isinstance(refusal, str)
    assert sentence in refusal
    assert len(refusal) < 1000


def test_what_no_json_can_hold_is_told_in_its_nearest_form(tools, root):
    (root / "default" / "idle").rename(root / "default" / "half\udcff")
    (root / "default" / "good" / "environment.json").write_text('{"seed": NaN, "host": "\\ud800"}')
    for name, arguments in (
        ("list_runs", {}),
        ("show_run", {"run": "good"}),
        ("show_run", {"run": "half\udcff"}),
        ("\udcff", {}),
    ):
        sent = json.loads(answered(tools, name, arguments).model_dump_json())
        assert "NaN" not in sent["content"][0]["text"]
        assert "bug" not in sent["content"][0]["text"]


def test_a_filter_of_an_agent_is_plain_text(tools):
    assert called(tools, "list_runs", filters=["id~oo"])["found"] == 1
    assert called(tools, "list_runs", filters=["id~(x+x+)+y"])["found"] == 0


def test_a_run_that_lies_elsewhere_is_not_read(tools, root, tmp_path):
    elsewhere = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "far", root=tmp_path / "other")
    (root / "default" / "far").symlink_to(elsewhere.folder)
    (root / "default" / "idle" / "log.txt").symlink_to("/etc/passwd")
    assert "there is no run 'far'" in called(tools, "show_run", run="far", log_lines=50)
    assert "leads out of" in called(tools, "show_run", run="idle", log_lines=50)


def test_a_stop_says_who_asked_and_why(tools, root):
    assert "will stop" in called(tools, "stop", run="busy", why="it diverges")["said"]
    assert "asked to by mcp: it diverges" in (root / "default" / "busy" / "stop_request").read_text()


def test_without_a_budget_nothing_is_started(tools, root):
    assert "the budget has 0 of 0 runs left" in called(tools, "run_experiment", spec=SPEC, minutes=1)
    assert "the budget has 0 of 0 runs left" in called(tools, "run_sweep", sweep={}, name="s", runs=1, minutes=1)
    assert [path.name for path in root.iterdir()] == ["default"]


def spec(**changes):
    return {**SPEC, **changes}


@pytest.mark.parametrize(
    ("wanted", "minutes", "sentence"),
    [
        (SPEC, 5.5, "the budget has 5 of 5 minutes left, and 5.5 are asked for"),
        (SPEC, 0, "must be greater than 0"),
        (spec(train_args={"minutes": 3}), 2, "train_args.minutes must be at most the 2 minutes"),
        (spec(network="mpl"), 1, "Did you mean 'mlp'?"),
        (spec(network="stranger:Net"), 1, "is code from elsewhere: a spec of an agent names it"),
        (spec(train_args={"optimizer": "stranger:make"}), 1, "is code from elsewhere"),
        (spec(experiment_group="x" * 200_000), 1, "a spec may have 100,000 characters"),
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
        ({}, {"runs": 3}, "the budget has 2 of 2 runs left, and 3 are asked for"),
        ({}, {"jobs": 10**9}, "must be at most 64"),
    ],
)
def test_a_sweep_that_is_wrong_or_over_the_budget_is_not_started(root, changes, arguments, sentence):
    asked = {"name": "../widths", "runs": 2, "minutes": 1, **arguments}
    assert sentence in called(Tools(Budget(2, 5)), "run_sweep", sweep=SWEEP | changes, **asked)
    assert {path.name for path in root.parent.iterdir()} <= {"runs", "locks"}
    assert [path.name for path in root.iterdir()] == ["default"]


def test_a_sweep_that_chose_by_the_test_split_shows_none_of_its_values(root):
    executor = MadeUpExecutor(lambda spec, _: iter([SECRET - spec.network_args["layer_size"] / 100] * 2))
    made, _ = sweep_of(SPACE.format(method="grid"), root, executor, name="seen")
    made.run()
    executor.close()
    tools = Tools(Budget())
    assert called(tools, "show_sweep", sweep="seen", trials=2)["best"] is not None
    path = root / "seen" / "sweep.json"
    path.write_text(path.read_text().replace('"name": "val_loss"', '"name": "test_loss"'))
    answer = called(tools, "show_sweep", sweep="seen")
    assert [row["trial"] for row in answer["trials_shown"]] == sorted(row["trial"] for row in answer["trials_shown"])
    assert {"best", "value", "decisions"}.isdisjoint({*answer, *answer["trials_shown"][0]})
    assert "best" not in called(tools, "list_sweeps")["sweeps"][0]


def test_a_process_that_ends_before_there_is_a_run_costs_nothing_and_says_why(root):
    tools = Tools(Budget(2, 10))
    tools.budget.start(root / "default" / "new", 2, 4, ["-c", "import sys; sys.exit('no such data')"])
    assert tools.budget.left() == {"runs_left": 0, "minutes_left": 6} or not tools.budget.started[0].is_at_work
    tools.budget.started[0].process.wait(PATIENCE_S)
    assert tools.budget.left() == {"runs_left": 2, "minutes_left": 10}
    shown = called(tools, "show_run", run="new")
    assert (shown["state"], shown["said"]) == ("failed", "no such data")


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


def test_the_server_starts_without_heavy_libraries():
    heavy = {"tensorflow", "keras", "wandb", "boto3", "optuna", "scipy", "sklearn", "h5py"}
    code = f"import sys, training.mcp.server, training.commands.mcp\nprint(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--runs=-1"], ["--minutes=nan"], ["--minutes=inf"], ["--runs=many"]])
def test_a_wrong_budget_is_refused(arguments, capsys):
    assert cli.main(["mcp", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_without_the_package_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert cli.main(["mcp"]) == 2
    assert "pip install 'text-recognizer[mcp]'" in capsys.readouterr().err
