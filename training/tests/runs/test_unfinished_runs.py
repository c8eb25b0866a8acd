"""Unfinished runs in the table of runs: their latest epoch and metrics, read from the end of their reports."""

import csv
import json
import os

import pytest

import text_recognizer as tr
from text_recognizer.spec import ExperimentSpec
from training.cli import main as text_recognizer
from training.runs.run import Run
from training.runs.run_table import read_row
from training.ui.run_views import grouped
from training.views.index import Index

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp")
GARBAGE = {"garbage": b"\x00\xff", "no objects": b"[\n7\nnull\n" * 9_000, "nothing": b"", "no end": b"{" * 100_000}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A run that finished, one at work that was resumed, one that stopped, and one that has not started."""
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    done, busy, left, _ = (Run.create(SPEC, name, tmp_path) for name in ("done", "busy", "left", "new"))
    for run, loss in ((done, 0.3), (busy, 0.2), (left, 0.4)):
        run.hold()
        run.set_state("running", epochs=9)
        run.log({"epoch": 1, "step": 5, "val_loss": 9.0, "time": 1.5e9})
        run.log({"epoch": 2, "step": 10, "val_loss": loss, "time": 1.5e9})
    done.set_state("finished", summary={"val_loss": 0.3, "test_accuracy": 0.9}, epoch=9)
    left.set_state("stopped", epoch=2)
    busy.note(epoch=1)  # it was resumed there
    done.release()
    left.release()
    yield tmp_path
    busy.release()


def listed(capsys, *options: str) -> list[list[str]]:
    assert text_recognizer(["runs", "list", "--columns=id,epoch,val_loss", "--format=csv", *options]) == 0
    return list(csv.reader(capsys.readouterr().out.splitlines()))[1:]


def test_unfinished_runs_are_listed_filtered_and_sorted_by_what_they_reported_last(root, capsys):
    busy, done, left, new = ["busy", "2", "0.2"], ["done", "9", "0.3"], ["left", "2", "0.4"], ["new", "", ""]
    assert listed(capsys, "--sort=id") == [busy, done, left, new]
    assert listed(capsys, "--sort=-val_loss") == [left, done, busy, new]
    assert listed(capsys, "--filter=val_loss>0.25", "--filter=epoch<5") == [left]
    assert listed(capsys, "--filter=val_loss<0.5", "--filter=state=finished") == [done]
    rows = {row["id"]: row for row in tr.runs().rows}
    assert [rows[name]["summary"] for name in ("busy", "left", "new")] == [{}, {}, {}]
    reported = [rows[name]["reported"] for name in ("done", "busy", "left", "new")]
    assert reported == [{}, {"val_loss": 0.2}, {"val_loss": 0.4}, {}]


def test_everything_that_shows_a_resumed_run_has_its_latest_epoch(root, capsys):
    assert text_recognizer(["runs", "show", "busy"]) == 0
    assert "epoch 2 of 9" in capsys.readouterr().out
    assert text_recognizer(["runs", "show", "busy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epoch"] == 2
    assert repr(tr.Run("busy")) == "<Run busy: running, epoch 2 of 9>"


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_damaged_reports_hide_neither_their_run_nor_the_others(root, capsys, content):
    (root / "default" / "left" / "metrics.jsonl").write_bytes(content)
    assert listed(capsys, "--sort=id", "--filter=id!=new") == [
        ["busy", "2", "0.2"],
        ["done", "9", "0.3"],
        ["left", "2", ""],
    ]


def test_only_the_end_of_the_reports_is_read_and_what_is_no_report_there_is_skipped(root):
    path = root / "default" / "left" / "metrics.jsonl"
    os.truncate(path, 3 * 2**30)  # a hole: more than is ever read of a file
    with open(path, "ab") as file:
        file.write(b'\n{"epoch": 3, "val_loss": 0.1, "loss": NaN}\n[\n{}\n\n{"epoch": 3, "best_epoch": 1}\n{"epoch": 4')
    row = read_row(path.parent)
    assert row is not None
    assert (row.value("epoch"), row.reported) == (3, {"val_loss": 0.1, "loss": None, "best_epoch": 1})


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"state": "stopped", "epoch": 3, "epochs": 3}, (3, 0.4)),  # imported: its reports count steps
        ({"state": "running", "epoch": 3, "epochs": 50}, (30, 0.1)),  # extended
    ],
)
def test_the_summary_of_a_run_is_shown_until_it_reports_again(root, status, shown):
    run = Run.open(root / "default" / "left")
    run.note(summary={"val_loss": 0.4}, **status)
    (run.folder / "metrics.jsonl").write_text('{"epoch": 30, "val_loss": 0.1}\n')
    row = read_row(run.folder)
    assert row is not None
    assert (row.value("epoch"), row.value("val_loss")) == shown


def test_a_listing_that_is_kept_has_new_reports_and_is_unchanged_without(root):
    index = Index(root)
    index.refresh()
    for name, thorough in (("busy", False), ("left", True)):
        assert index.refresh(thorough) == set()
        with open(root / "default" / name / "metrics.jsonl", "ab") as file:
            file.write(b'{"epoch": 5, "val_loss": 0.05}\n')
        assert index.refresh(thorough) == {f"default/{name}"}
        row = index.row(f"default/{name}")
        assert (row.value("epoch"), row.value("val_loss")) == (5, 0.05)


def test_means_over_groups_are_of_finished_runs(root):
    index = Index(root)
    index.refresh()
    assert grouped(index, [], None, ["val_loss"], "network")["rows"] == [["network=mlp", "", "mlp", "4", "0.3000"]]
