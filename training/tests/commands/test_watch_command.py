"""text-recognizer watch shows active runs and devices; every command that prints a table prints JSON too."""

import argparse
import json
from collections.abc import Iterator
from functools import partial

import pytest
from rich.console import Console

from text_recognizer.registry import names, resolve
from text_recognizer.spec import ExperimentSpec
from training import cli
from training.commands import watch
from training.runs.run import Run
from training.terminal.parser import Parser

# What they print is no table: a path, a sentence, a picture, a server, what a run prints.
WITHOUT_TABLE = {
    *(
        "runs stop",
        "runs tail",
        "runs rerun",
        "runs export",
        "runs import",
        "sweeps export",
        "ui",
        "mcp",
        "sync",
        "serve",
        "promote",
        "export",
        "pseudo-label",
    ),
    *("sweeps pause", "sweeps resume", "sweeps stop", "sweeps cancel", "models rollback", "models push", "models pull"),
    *("datasets fetch", "datasets add", "datasets update", "datasets export"),
}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TEXT_RECOGNIZER_LOCKS", str(tmp_path / "locks"))
    made = {
        name: Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), name) for name in ("a", "b", "c")
    }
    for name in ("a", "b"):
        made[name].hold()
        made[name].set_state("running", epochs=9)
        made[name].log({"epoch": 4, "val_loss": 0.25})
    made["b"].set_state("finished", summary={"val_loss": 0.25})
    made["b"].release()
    yield made
    made["a"].release()


def test_watch_shows_runs_at_work_and_what_they_reported_last(runs, capsys):
    assert cli.main(["watch", "--once"]) == 0
    said = capsys.readouterr().out
    assert "1 active run" in said
    [line] = [line.split() for line in said.splitlines() if line.split()[:1] == ["default/a"]]
    assert (line[1:3], line[-2:]) == (["running", "4/9"], ["val_loss", "0.2500"])
    assert "No GPU on this machine" in said or "--gpu" in said


def test_an_id_stays_whole_in_a_pipe_however_long(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "40")
    Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), name := "b" * 220)
    assert cli.main(["watch", "--once"]) == 0
    assert f"default/{name}" in capsys.readouterr().out.split()


def test_in_a_narrow_terminal_an_id_has_a_line_of_its_own(runs, monkeypatch, capsys):
    Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), name := "n" * 40)
    for width, alone in ((60, True), (200, False)):
        monkeypatch.setattr(watch, "wide_console", partial(Console, width=width))
        assert cli.main(["watch", "--once"]) == 0
        assert (f"default/{name}" in map(str.rstrip, capsys.readouterr().out.splitlines())) == alone


def test_watch_prints_one_json_object(runs, capsys):
    assert cli.main(["watch", "--json", "--ended=0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["id"]: row["reported"].get("epoch") for row in told["runs"]} == {"c": None, "a": 4}
    assert "devices" in told["gpus"]


@pytest.mark.parametrize(
    "arguments", [["--every=0"], ["--ended=-1"], ["missing"], ["x" * 300], ["--filter", "colour=red"]]
)
def test_a_mistake_is_refused_in_a_sentence(runs, capsys, arguments):
    assert cli.main(["watch", "--once", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "TRACEBACK" not in said


def actions(name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A command's actions, or the command itself where it has none."""
    parser = Parser(prog=name)
    resolve("command", name)().configure(parser)
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        yield from ((f"{name} {choice}", made) for choice, made in action.choices.items())


def test_every_command_that_prints_a_table_takes_json():
    every = dict(pair for name in names("command") for pair in actions(name))
    without = {name for name, parser in every.items() if "--json" not in parser._option_string_actions}
    assert without == WITHOUT_TABLE
