"""Listings of runs and sweeps some of which are damaged: those are shown as damaged, and the others are listed."""

import csv
import errno
import json
import os

import pytest

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from training.cli import main as text_recognizer
from training.runs.run import Run
from training.sweeps.folder import all_sweeps
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, by_layer_size, run_sweep, sweep_of

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", experiment_group="g")
GRID = SPACE.format(method="grid")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    run = Run.create(SPEC, "one", tmp_path)
    yield run
    run.release()


SWEEP_FACTS = {"name": "s", "digest": "d", "source": "f", "method": "grid", "size": 6, "metric": None, "created": 1.0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"format": 1}',
        json.dumps({**SWEEP_FACTS, "format": 99}),
        json.dumps({**SWEEP_FACTS, "created": "yesterday"}),
        json.dumps({**SWEEP_FACTS, "created": 1e300}),
        json.dumps({**SWEEP_FACTS, "metric": ["val_loss"]}),
        json.dumps({**SWEEP_FACTS, "method": []}),
        json.dumps({**SWEEP_FACTS, "size": "six"}),
    ],
)
def test_a_damaged_sweep_is_shown_with_the_others(tmp_path, capsys, monkeypatch, content):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sweep.json").write_text(content)
    assert text_recognizer(["sweeps", "list", "--json"]) == 0
    sound, damaged = json.loads(capsys.readouterr().out)
    assert (sound["name"], sound["state"], sound["damage"]) == ("sweep", "interrupted", None)
    assert (damaged["name"], damaged["state"]) == ("other", "damaged")
    assert f"{tmp_path / 'other' / 'sweep.json'} " in damaged["damage"]
    assert text_recognizer(["sweeps", "list"]) == 0
    assert damaged["damage"] in capsys.readouterr().out
    for command in ("show", "pause", "resume"):
        assert text_recognizer(["sweeps", command, "other"]) == 2
        assert damaged["damage"] in capsys.readouterr().err
    assert [folder.name for folder in all_sweeps()] == ["sweep", "other"]


def test_a_sweep_that_lost_what_it_sweeps_is_shown_as_damaged(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    (sweep.folder.path / "sweep.json").unlink()
    assert text_recognizer(["sweeps", "list", "--json"]) == 0
    (damaged,) = json.loads(capsys.readouterr().out)
    assert (damaged["name"], damaged["state"]) == ("sweep", "damaged")
    assert text_recognizer(["sweeps", "show", "sweep"]) == 2
    assert "it has no sweep.json" in capsys.readouterr().err


def test_a_sweep_says_what_of_its_journal_and_reports_cannot_be_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    with open(sweep.folder.path / "trials.jsonl", "a") as file:
        file.write("{}\n")
    reports = sweep.trials[1].runs[0].folder / "metrics.jsonl"
    reports.unlink()
    reports.mkdir()
    assert text_recognizer(["sweeps", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["finished"]) == ("finished", 6)
    assert "trials.jsonl: 1 line cannot be read, the first is line 20: 'event' must be" in row["damage"]
    assert f"{reports} cannot be read: Is a directory" in row["damage"]
    assert text_recognizer(["sweeps", "show", "sweep"]) == 0
    assert row["damage"] in capsys.readouterr().out


def test_a_group_that_this_user_may_not_read_is_named_beside_the_runs_of_the_others(run, tmp_path, monkeypatch, capsys):
    scandir = os.scandir

    def refuse(place: str | os.PathLike[str]) -> object:
        if os.fspath(place) in (str(tmp_path / "private"), str(tmp_path / "lost+found")):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return scandir(place)

    for name in ("private", "lost+found"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    assert text_recognizer(["runs", "list", "--columns=id"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == ["id", "one"]
    assert printed.err == f"warning: no permission to read {tmp_path / 'private'}: its runs are left out.\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "it is not a JSON object"),
        ("5", "it is not a JSON object"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"format": 1}', "'state' must be one of"),
        ('{"state": 5}', "'state' must be one of"),
        ('{"state": "gone"}', "'state' must be one of"),
        ('{"state": "running", "times": []}', "'times' must hold seconds"),
        ('{"state": "finished", "times": {"created": "yesterday"}}', "'times' must hold seconds"),
        ('{"state": "finished", "times": {"created": 1e300}}', "'times' must hold seconds"),
        ('{"state": "finished", "summary": {"val_loss": "low"}}', "'summary' must hold numbers"),
        ('{"state": "finished", "epoch": -1}', "'epoch' and 'epochs' must be"),
        ('{"state": "finished", "error": [1]}', "'error' must be text"),
        ('{"state": "finished", "format": 99}', "has format 99"),
    ],
)
def test_a_damaged_status_is_named_and_does_not_hide_the_other_runs(run, tmp_path, content, why, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    Run.create(SPEC, "two", tmp_path)
    (run.folder / "status.json").write_text(content)
    with pytest.raises(RunError, match=why):
        Run.open(run.folder)
    assert text_recognizer(["runs", "list", "--format=csv", "--sort=id"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["id"], row["state"]) for row in rows] == [("one", "damaged"), ("two", "created")]
    assert why in rows[0]["damage"]
    assert text_recognizer(["runs", "list", "--format=json", "--filter=state=damaged"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["damage"]) == ("one", rows[0]["damage"])
    for command in (["show", "one"], ["tail", "one"], ["stop", "one"], ["compare", "one", "two"]):
        assert text_recognizer(["runs", *command]) == 2
        assert why in capsys.readouterr().err


def test_a_run_without_damage_has_no_column_for_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    assert text_recognizer(["runs", "list", "--format=csv"]) == 0
    assert "damage" not in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"dataset": "DigitsDataset"}', '{"dataset": 1}', "{" * 5_000, "\xff"])
def test_a_damaged_spec_is_shown(run, tmp_path, content, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    (run.folder / "spec.json").write_text(content, encoding="latin-1")
    assert text_recognizer(["runs", "list"]) == 0
    said = capsys.readouterr().out
    assert "damaged" in said
    assert "spec.json" in said
    for command in (["show", "one"], ["compare", "one", "one"], ["rerun", "one"]):
        assert text_recognizer(["runs", *command]) == 2
        assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["status.json", "spec.json", "launch.json", "metrics.jsonl", "log.txt"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(run, tmp_path, name, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    run.set_state("finished")
    (run.folder / name).unlink(missing_ok=True)
    os.mkfifo(run.folder / name)
    assert text_recognizer(["runs", "list"]) == 0
    assert ("damaged" in capsys.readouterr().out) == (name in ("status.json", "spec.json"))
    for command in ("show", "tail"):
        text_recognizer(["runs", command, "one"])
        assert "Traceback" not in capsys.readouterr().err


def test_reports_that_are_damaged_are_shown_with_those_that_are_not(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    run.set_state("finished", summary={"test_accuracy": None})
    (run.folder / "metrics.jsonl").write_text('{"val_loss": 2}\n{"epoch": 1, "val_loss": 1}\n[\n{"epoch": 2}\n')
    assert text_recognizer(["runs", "show", "one", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["rows"]) == 3
    assert shown["damage"].startswith("metrics.jsonl: 1 line cannot be read, the first is line 3: it is not JSON")
    assert text_recognizer(["runs", "show", "one"]) == 0
    assert text_recognizer(["runs", "compare", "one"]) == 0


@pytest.mark.parametrize("content", [b"\x00\xff garbage", b"\x00\xff\n[\n", b"[]\n"])
def test_a_finished_run_that_has_lost_all_its_reports_is_shown_as_damaged(run, tmp_path, content, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    Run.create(SPEC, "two", tmp_path)
    run.set_state("finished", epoch=2, summary={"test_accuracy": 0.5})
    (run.folder / "metrics.jsonl").write_bytes(content)
    assert text_recognizer(["runs", "list", "--json", "--sort=id"]) == 0
    damaged, sound = json.loads(capsys.readouterr().out)
    assert (damaged["state"], sound["state"]) == ("damaged", "created")
    assert "metrics.jsonl has no report that can be read" in damaged["damage"]
    assert damaged["summary"] == {"test_accuracy": 0.5}
    assert text_recognizer(["runs", "show", "one"]) == 0
    printed = capsys.readouterr().out
    assert "one   damaged" in printed
    assert "damage      " in printed
    (run.folder / "metrics.jsonl").write_bytes(content + b'\n{"epoch": 1}\n')  # one that can be read
    assert text_recognizer(["runs", "list", "--json", "--filter=id=one"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "finished"


def test_a_launch_that_is_damaged_is_named(run):
    (run.folder / "launch.json").write_text("[]")
    with pytest.raises(RunError, match=r"launch.json cannot be read: it is not a JSON object. Received: \[\]"):
        run.read_json("launch.json")
    for attempts in ("5", "[5]", '[{"devices": 5}]', '[{"device_uuids": 5}]'):
        (run.folder / "launch.json").write_text(f'{{"attempts": {attempts}}}')
        with pytest.raises(RunError, match="launch.json is damaged: "):
            run.attempts()
