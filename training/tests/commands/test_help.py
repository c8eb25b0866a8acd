"""Mistyped command lines, help texts, lists of parts, versions."""

import contextlib
import importlib
import json
from pathlib import Path

import pytest

import text_recognizer as text_recognizer_package
from text_recognizer.spec import ExperimentSpec
from training.cli import main as text_recognizer

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["sweps"], "unknown command 'sweps'. Did you mean 'sweeps'?"),
        (["swep"], "unknown command 'swep'. Did you mean 'sweep'?"),
        (["pause", "digits"], "unknown command 'pause'. Did you mean 'sweeps pause'? Known: "),
        (["stop", "last"], "unknown command 'stop'. Did you mean 'runs stop' or 'sweeps stop'? Known: "),
        (["runs", "list", "--columns", ","], "the columns must be at least one, like id"),
        (["runs", "list", "--limit", "-1"], "the limit must be at least 1. Received: -1."),
        (
            ["runs", "lst"],
            "text-recognizer runs: unknown ACTION 'lst'. Did you mean 'list'? Expected one of: list, show",
        ),
        (["runs", "list", "--fromat=csv"], "unknown argument '--fromat=csv'. Did you mean '--format'?"),
        (
            ["runs", "list", "--fiter", "x"],
            "unknown argument '--fiter'. Did you mean '--filter'? See text-recognizer runs list --help.",
        ),
        (
            ["runs", "list", "--curve=x"],
            "unknown argument '--curve=x'. Another action has it. See text-recognizer runs list --help.",
        ),
        (["runs", "list", "--curv=x"], "unknown argument '--curv=x'. See text-recognizer runs list --help."),
        (["runs", "list", "--format", "cvs"], "unknown --format 'cvs'. Did you mean 'csv'?"),
        (
            ["evaluate", "--bundle", "last"],
            "unknown argument '--bundle'. Give its value alone, without --bundle. See text-recognizer evaluate --help.",
        ),
        (
            ["export", "--bundle=last", "--format", "onnx"],
            "unknown argument '--bundle=last'. Give its value alone, without --bundle. See text-recognizer export --",
        ),
        (["promote", "--bundle", "last"], "unknown argument '--bundle'. Give its value alone, without --bundle."),
        (["promote", "--run", "last"], "unknown argument '--run'. Give its value alone, without --run."),
        (["sync", "--bundle", "last"], "unknown argument '--bundle'. Give its value alone, without --bundle."),
        (
            ["runs", "show", "--run", "last"],
            "unknown argument '--run'. Give its value alone, without --run. See text-recognizer runs show --help.",
        ),
        (["runs", "rerun", "--run", "last"], "unknown argument '--run'. Give its value alone, without --run."),
        (["runs", "rerun", "last", "--run=x"], "there is no run 'last' in"),
        (["predict", "--image", "a.png"], "unknown argument '--image'. Give its value alone, without --image."),
        (["run", "--spec", "a.json"], "unknown argument '--spec'. Give its value alone, without --spec."),
        (
            ["runs", "list", "old/runs"],
            "unknown argument 'old/runs'. Set TEXT_RECOGNIZER_RUNS=old/runs to list those of another folder. See ",
        ),
        (
            ["runs", "list", "test_accuracy>=0.9"],
            "unknown argument 'test_accuracy>=0.9'. Did you mean --filter 'test_accuracy>=0.9'? See ",
        ),
        (["sweeps", "list", "old"], "unknown argument 'old'. Set TEXT_RECOGNIZER_RUNS=old to list those of"),
        (["runs", "show", "last", "other"], "unknown argument 'other'. See text-recognizer runs show --help."),
        (["list", "netwoks"], "unknown kind 'netwoks'. Did you mean 'networks'?"),
        (["--versio"], "unknown argument '--versio'. Did you mean '--version'?"),
        (["run", "--versio"], "unknown argument '--versio'. Did you mean '--version'? Values of the spec"),
        (["run", "--xyzzy"], "unknown argument '--xyzzy'. Values of the spec"),
        (["run", "--netwrok=mlp"], "unknown argument '--netwrok=mlp'. Did you mean '--network'?"),
        (["run", "--train_arg.epochs=3"], "unknown argument '--train_arg.epochs=3'. Did you mean '--train_args'?"),
        (["run", "--epochs=3"], "unknown argument '--epochs=3'. Did you mean '--train_args.epochs'?"),
        (["runs", "show"], "the following arguments are required: RUN. See text-recognizer runs show --help."),
        (["predict"], "the following arguments are required: IMAGE. See text-recognizer predict --help."),
        (
            ["predict", "a.png", ""],
            "IMAGE is empty; perhaps a variable is not set. See text-recognizer predict --help.",
        ),
        (["predict", "a.png", "--bundle="], "--bundle is empty; perhaps a variable is not set."),
        (["runs", "stop", ""], "RUN is empty; perhaps a variable is not set. See text-recognizer runs stop --help."),
        (["run", "--id", ""], "--id is empty; perhaps a variable is not set. See text-recognizer run --help."),
    ],
)
def test_a_mistyped_command_line_is_answered_with_what_was_probably_meant(command, complaint, capsys):
    assert text_recognizer(command) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert complaint in printed
    assert "usage:" not in printed


@pytest.mark.parametrize("command", ["runs", "sweeps"])
def test_help_says_how_to_list_what_is_in_another_folder(command, capsys):
    with pytest.raises(SystemExit):
        text_recognizer([command, "--help"])
    assert f"TEXT_RECOGNIZER_RUNS=/other/disk/runs text-recognizer {command} list" in capsys.readouterr().out


def test_the_commands_that_are_listed_are_those_of_the_help(capsys):
    assert text_recognizer(["help"]) == 0
    helped = capsys.readouterr().out.partition("commands:")[2].partition("See also:")[0]
    assert text_recognizer(["list", "commands", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["commands"]
    assert {line.split()[0] for line in helped.splitlines() if line} == listed.keys()


def test_a_part_that_is_named_is_listed_with_all_that_is_said_of_it(capsys):
    assert text_recognizer(["list", "networks", "mlp"]) == 0
    shown = capsys.readouterr().out
    assert "      layer_size = 128  (int >= 1)\n          units of each hidden layer.\n" in shown
    assert "lenet" not in shown
    assert text_recognizer(["list", "networks", "mpl"]) == 2
    assert "nothing called 'mpl' among the networks. Did you mean 'mlp'? There are: " in capsys.readouterr().err


def test_a_part_of_ones_own_is_listed_by_its_path(capsys):
    own = "training.tests.quick_networks:QuickFrames"
    assert text_recognizer(["list", "networks", own, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["networks"]) == {own}
    assert text_recognizer(["list", "networks", f"{own}y"]) == 2
    assert "module training.tests.quick_networks has no 'QuickFramesy'" in capsys.readouterr().err
    assert text_recognizer(["list", "train_args", own]) == 2
    assert "among the train_args" in capsys.readouterr().err


def test_run_sweep_prints_the_schema_of_searches_and_rules_without_a_file(capsys):
    assert text_recognizer(["sweep", "--schema"]) == 0
    assert {"searches", "stopping_rules"} <= json.loads(capsys.readouterr().out)["$defs"].keys()


def test_help_is_a_command_and_an_option(capsys):
    for command in (
        ["help"],
        ["--help"],
        ["help", "runs"],
        ["runs", "--help"],
        ["help", "runs", "list"],
        ["help", "run"],
        ["help", "sweep"],
    ):
        with contextlib.suppress(SystemExit):
            assert text_recognizer(command) == 0
    printed = capsys.readouterr().out
    assert printed.count("usage: text-recognizer COMMAND") == 2
    assert printed.count("usage: text-recognizer runs [-h]") == 2
    assert printed.count("usage: text-recognizer runs list [-h]") == 1
    assert printed.count("usage: text-recognizer run ") == 1


@pytest.mark.parametrize("command", ["evaluate", "export", "predict", "promote", "serve", "sync", "forecast"])
def test_help_says_that_the_start_of_an_id_is_enough(command, capsys):
    with contextlib.suppress(SystemExit):
        text_recognizer(["help", command])
    assert "folder, id, start of an id" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_the_packages(capsys):
    assert text_recognizer(["--version"]) == 0
    assert capsys.readouterr().out == f"text-recognizer {text_recognizer_package.__version__}\n"


@pytest.mark.parametrize("program", ["run_experiment", "run_sweep"])
def test_both_programs_say_the_same_version(program, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"training.{program}").run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"text-recognizer {text_recognizer_package.__version__}\n"
