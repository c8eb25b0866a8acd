"""Agents over MCP: the views of the commands without test figures, runs within a budget, and refusals in sentences."""

import asyncio
import json
import subprocess
import sys

import pytest

pytest.importorskip("mcp")

from mcp import Client

from text_recognizer.spec import ExperimentSpec
from training import cli
from training.mcp.budget import Budget
from training.mcp.server import answered, server_of
from training.mcp.tools import Tools
from training.runs.run import Run
from training.tests.mcp.conftest import SECRET
from training.tests.mcp.mcp_support import called
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, sweep_of
from training.ui import run_views
from training.views.index import Index


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


def test_a_test_figure_that_an_unfinished_run_has_reported_is_sealed_too(tools, root):
    with open(root / "default" / "busy" / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"epoch": 4, "test_early": SECRET}) + "\n")
    answer = called(tools, "list_runs", filters=["state=running"])
    assert answer["runs"][0]["reported"] == {"val_loss": 0.25}
    assert "which is sealed" in called(tools, "list_runs", sort="-test_early")


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
    assert "has no metrics on the test split: its state is running" in called(
        tools, "test_figures", run="busy", why="early"
    )
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
        ("stop", {"why": "x", "run": "good"}, "is not running: its state is finished"),
        ("drop_database", {}, "there is no tool 'drop_database'"),
    ],
)
def test_a_hostile_or_wrong_argument_is_refused_in_a_sentence(tools, name, arguments, sentence):
    refusal = called(tools, name, **arguments)
    assert isinstance(refusal, str)
    assert sentence in refusal
    assert len(refusal) < 1000


def test_what_a_part_is_is_told_once(tools):
    for part in called(tools, "list_parts", kind="networks")["networks"].values():
        assert json.dumps(part).count(json.dumps(part["description"].partition("\n")[0])[1:-1]) == 1


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


def test_the_server_starts_without_heavy_libraries():
    heavy = {"tensorflow", "keras", "wandb", "boto3", "optuna", "scipy", "sklearn", "h5py"}
    code = f"import sys, training.mcp.server, training.commands.mcp\nprint(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_package_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert cli.main(["mcp"]) == 2
    assert "pip install 'text-recognizer[mcp]'" in capsys.readouterr().err
