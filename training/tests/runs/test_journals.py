"""Journals whose lines were damaged: what is whole counts, and goes on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.spec import ExperimentSpec
from training.files.journals import append_line, open_journal, read_journal
from training.runs.run import Run
from training.sweeps.events import event_fault
from training.sweeps.limits import Limits
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, by_layer_size, journal, run_sweep, sweep_of

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", experiment_group="g")
GRID = SPACE.format(method="grid")
LIST = json.dumps(
    {
        "experiment_group": "sweep",
        "experiments": [
            {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp", "network_args": {"layer_size": n}}
            for n in (8, 16, 32)
        ],
    }
)
DAMAGE = [b"\x00\x00\x00", b"5", b"[" * 100_000, b'{"a": 1', b"\xff", b"1" * 5_000, b'{"a": ' + b"1" * 400 + b"}"]


# One file


@pytest.mark.parametrize("line", DAMAGE)
def test_readers_pass_a_broken_line_over_and_the_writer_leaves_it(tmp_path, line, capsys):
    path = tmp_path / "metrics.jsonl"
    damaged = b'{"a": 1}\n' + line + b'\n{"a": 2}\n'
    path.write_bytes(damaged)
    descriptor = open_journal(path)
    append_line(descriptor, path, {"a": 3})
    os.close(descriptor)
    assert path.read_bytes() == damaged + b'{"a": 3}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]
    for _ in range(2):
        assert read_journal(path) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert capsys.readouterr().err.count("metrics.jsonl: 1 line cannot be read, the first is line 2: ") == 1


def test_a_torn_end_is_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": 2}\n{"a"')
    inode = path.stat().st_ino
    os.close(open_journal(path))
    assert path.read_bytes() == b'{"a": 1}\n\n{"a": 2}\n'
    assert path.stat().st_ino == inode
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


# A run


@pytest.mark.parametrize("row", ['{"epoch": "one"}', '{"epoch": -1}', '{"epoch": 1e400}', '{"loss": [1]}', "[", "null"])
def test_a_report_of_another_form_costs_that_report_only(tmp_path, row):
    run = Run.create(SPEC, "one", tmp_path)
    path = run.folder / "metrics.jsonl"
    path.write_text(f'{{"epoch": 1, "loss": NaN}}\n{row}\n{{"epoch": 3, "loss": 1.5}}\n')
    whole = [{"epoch": 1, "loss": None}, {"epoch": 3, "loss": 1.5}]
    assert run.rows() == whole
    run.hold()
    run.log({"epoch": 4})
    assert Run.open(run.folder).rows() == [*whole, {"epoch": 4}]
    run.release()


# A sweep


def finished_sweep(root: Path, text: str = GRID, **options: Any) -> Path:
    sweep, result = run_sweep(text, root, by_layer_size, **options)
    assert result.complete
    return sweep.folder.path


def again(root: Path, text: str = GRID, **options: Any) -> tuple[list[str], list[str]]:
    """Starts a sweep once more: the runs that were started, and the ids of all its trials' runs."""
    executor = MadeUpExecutor(by_layer_size)
    sweep, _ = sweep_of(text, root, executor, **options)
    assert sweep.run().complete
    assert [trial.state for trial in sweep.trials.values()] == ["finished"] * len(sweep.trials)
    assert sorted(sweep.trials) == list(range(1, len(sweep.trials) + 1))
    return executor.started, [run.id for trial in sweep.trials.values() for run in trial.runs]


@pytest.mark.parametrize("text", [GRID, SPACE.format(method="random"), LIST], ids=["grid", "random", "list"])
def test_a_broken_line_anywhere_costs_at_most_the_trial_that_it_suggested(tmp_path, text):
    folder = finished_sweep(tmp_path, text)
    path = folder / "trials.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for broken, line in enumerate(lines):
        path.write_bytes(b"".join([*lines[:broken], b"\x00\xff\n", *lines[broken + 1 :]]))
        started, runs = again(tmp_path, text)
        assert len(started) == (1 if b'"suggest"' in line else 0)
        assert set(started) <= set(runs)


def test_a_trial_that_was_run_twice_counts_once(tmp_path):
    folder = finished_sweep(tmp_path)
    path = folder / "trials.jsonl"
    first = next(event for event in journal(folder) if event["event"] == "suggest")
    repeated = {**first, "runs": ["20260101-000000-abcde-t0001"]}
    path.write_text(path.read_text() + json.dumps(repeated) + "\n")
    started, runs = again(tmp_path)
    assert started == []
    assert first["runs"][0] in runs


SUGGESTED = {"event": "suggest", "trial": 1, "point": {}, "how": {}, "runs": ["a"]}
ENDED = {"event": "end", "trial": 1, "run": "a", "state": "finished", "over": True}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": 5},
        *({**SUGGESTED, "trial": number} for number in (0, -1, 10**12, 1.5, True, "1", None, [1])),
        *({**SUGGESTED, "runs": runs} for runs in ([], "a", [1], ["../a"], ["a", "a"], [""], ["."], ["a\0"], None)),
        {**SUGGESTED, "point": [1]},
        {**SUGGESTED, "how": None},
        {"event": "start", "trial": 1},
        {**ENDED, "state": "gone"},
        {**ENDED, "state": "died"},
        {**ENDED, "resources": 5},
        {**ENDED, "error": 5},
        {**ENDED, "failure": []},
        {"event": "reuse", "trial": 1, "run": "a", "folder": None},
        {"event": "decision", "trial": 1, "run": "a", "stop": 1, "text": ""},
        {"event": "over", "why": "", "complete": "yes"},
    ],
)
def test_an_event_of_another_form_is_broken(event):
    assert event_fault(event) is not None
    assert event_fault(SUGGESTED) is None
    assert event_fault(ENDED) is None


def test_events_of_a_later_version_are_passed_over():
    assert event_fault({"event": "moved", "trial": "x"}) is None
    assert event_fault({**ENDED, "more": [1]}) is None


def test_a_trial_that_a_list_does_not_have_is_named_with_its_journal(tmp_path):
    path = finished_sweep(tmp_path, LIST) / "trials.jsonl"
    suggested = {**SUGGESTED, "trial": 50, "point": {"experiment": 49}}
    path.write_text(json.dumps(suggested) + "\n" + path.read_text())
    with pytest.raises(
        SpecError, match=r"trials.jsonl has a trial that is none of .*\. Received: 49\. Remove its line"
    ):
        again(tmp_path, LIST)


def test_a_lost_line_takes_no_number_from_another_trial(tmp_path):
    """Of trials 1 to 3 the second is lost: its point is suggested again, under its number."""
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size), Limits(run_cap=3))
    sweep.run()
    folder = sweep.folder.path
    kept = [line for line in (folder / "trials.jsonl").read_text().splitlines() if '"trial": 2' not in line]
    (folder / "trials.jsonl").write_text("\n".join(kept) + "\n")
    executor = MadeUpExecutor(by_layer_size)
    resumed, _ = sweep_of(GRID, tmp_path, executor, Limits(run_cap=3))
    resumed.run()
    assert len(executor.started) == 1
    assert {number: trial.point for number, trial in resumed.trials.items()} == {
        number: trial.point for number, trial in sweep.trials.items()
    }
