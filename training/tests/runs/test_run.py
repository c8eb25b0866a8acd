import fcntl
import json
import multiprocessing
import os
import signal
import time
import types

import pytest

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S
from text_recognizer.trust import current_folder
from training.files import held_folder
from training.files.journals import append_line, open_journal, read_journal
from training.runs.causes import Cause
from training.runs.find import find_run
from training.runs.places import group_folder_name, new_run_id
from training.runs.run import Run
from training.runs.run_table import read_row

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", experiment_group="Sample Experiments")


@pytest.fixture
def run(tmp_path):
    run = Run.create(SPEC, root=tmp_path)
    run.hold()
    yield run
    run.release()


def test_a_new_folder_explains_itself(run):
    assert run.folder.parent.name == "Sample-Experiments"
    assert run.spec == SPEC
    assert run.read_json("launch.json") == {"attempts": []}
    assert run.status().state == "created"


def test_who_shares_the_files_of_a_run_is_said_by_the_umask_alone(tmp_path):
    usual = os.umask(0o002)
    try:
        run = Run.create(SPEC, root=tmp_path)
        run.hold()
        run.log({"epoch": 1})
        run.release()
    finally:
        os.umask(usual)
    modes = {path.name: path.stat().st_mode & 0o777 for path in run.folder.iterdir()}
    assert {"metrics.jsonl", "run.lock", "status.json"} < set(modes)
    assert set(modes.values()) == {0o664}


def test_run_ids_sort_by_time_and_say_what_they_are():
    spec = ExperimentSpec("D", "M", "my_package.nets:My_Net")
    first = new_run_id(spec)
    assert first.split("-")[3] == "my_net"
    assert first != new_run_id(spec)
    later = []
    for _ in range(20):
        later.append(new_run_id(spec))
        time.sleep(0.002)
    assert sorted(later) == later


@pytest.mark.parametrize(
    ("label", "folder"), [("a b/c", "a-b-c"), ("..", "default"), ("", "default"), ("Größe", "Größe")]
)
def test_groups_become_safe_folder_names(label, folder):
    assert group_folder_name(label) == folder


def test_states_carry_times_reasons_and_a_summary(run):
    run.set_state("running", epochs=3)
    run.set_state("failed", "out of memory", summary={"val_loss": 0.5}, epoch=2)
    status = run.status()
    assert (status.state, status.error, status.summary, status.epoch, status.epochs) == (
        "failed",
        "out of memory",
        {"val_loss": 0.5},
        2,
        3,
    )
    assert status.times["created"] <= status.times["started"] <= status.times["ended"]


def test_a_held_run_cannot_be_held_twice(run):
    with pytest.raises(RunError, match=f"is in use by process {os.getpid()}"):
        Run.open(run.folder).hold()


def test_a_look_at_who_holds_a_run_keeps_nobody_from_holding_it(run, monkeypatch):
    run.release()
    looking = os.open(run.folder / "run.lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)  # as holder does, for a moment
    monkeypatch.setattr(held_folder, "time", types.SimpleNamespace(sleep=lambda _: os.close(looking)))
    run.hold()
    with pytest.raises(RunError, match="is in use by process"):
        Run.open(run.folder).hold()


def test_a_run_that_ends_while_it_is_looked_at_has_not_died(run, monkeypatch):
    run.set_state("running")
    look = Run.is_held

    def end_and_look(one):
        run.set_state("finished")
        run.release()
        return look(one)

    monkeypatch.setattr(Run, "is_held", end_and_look)
    assert Run.open(run.folder).status().state == "finished"


def _hold_and_wait(folder, ready):
    run = Run.open(folder)
    run.hold()
    run.set_state("running")
    ready.set()
    signal.pause()


def test_a_run_whose_process_was_killed_has_died_when_it_printed_last_and_can_be_taken_up(tmp_path):
    run = Run.create(SPEC, root=tmp_path)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold_and_wait, args=(run.folder, ready))
    holder.start()
    assert ready.wait(PATIENCE_S)
    assert Run.open(run.folder).status().state == "running"
    holder.kill()
    holder.join()
    taken = Run.open(run.folder)
    assert taken.status().state == "died"
    (run.folder / "log.txt").write_text("epoch 1\n")
    os.utime(run.folder / "log.txt", (0, taken.status().times["started"] + 90))
    row = read_row(run.folder)
    assert row is not None
    assert row.duration_s == pytest.approx(90.0)  # it does not grow
    taken.hold()
    taken.release()


def test_the_journal_survives_a_tear_at_every_byte(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows: list[dict[str, object]] = [{"epoch": 1, "text": "é"}, {"epoch": 2}]
    journal = open_journal(path)
    for row in rows:
        append_line(journal, path, row)
    os.close(journal)
    content = path.read_bytes()
    first_line = content.index(b"\n") + 1
    for cut in range(first_line, len(content) + 1):
        path.write_bytes(content[:cut])
        whole = rows if cut == len(content) else rows[:1]
        assert list(read_journal(path)) == whole
        journal = open_journal(path)
        append_line(journal, path, {"epoch": 3})
        os.close(journal)
        assert list(read_journal(path)) == [*whole, {"epoch": 3}]


def test_a_full_disk_is_an_error_in_words_and_loses_nothing(tmp_path):
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(RunError, match=rf"metrics.jsonl: No space left .* bytes are free in {tmp_path}\)"):
        append_line(full, tmp_path / "metrics.jsonl", {"a": 1})
    os.close(full)


def test_a_run_tells_a_folder_whose_name_is_not_utf_8(run, tmp_path, monkeypatch):
    here = tmp_path / os.fsdecode(b"caf\xe9")
    here.mkdir()
    monkeypatch.chdir(here)
    run.write_json("launch.json", {"attempts": [{"folder": current_folder()}]})
    assert (run.folder / "launch.json").read_text(encoding="utf-8").count("caf\\udce9") == 1
    assert run.attempts()[0]["folder"] == str(tmp_path / "caf?")  # what is read can be shown everywhere


def test_stop_requests_come_and_go(run):
    assert run.stop_requested() is None
    run.request_stop("worse than the others", Cause.EARLY_TERMINATION)
    assert Run.open(run.folder).stop_requested() == ("worse than the others", Cause.EARLY_TERMINATION)
    assert (run.folder / "stop_request").read_text().splitlines()[0] == "worse than the others"
    run.clear_stop_request()
    assert run.stop_requested() is None


@pytest.mark.parametrize(
    ("text", "request_read"),
    [
        ("the sweep was interrupted\n", ("the sweep was interrupted", "asked")),  # no word of a reason means anything
        ("", ("asked to", "asked")),
        ("two\nlines\n", ("two\nlines", "asked")),
        ('enough\n{"cause": "interrupted"}\n', ("enough", "interrupted")),
        ('enough\n{"cause": "of a newer version"}\n', ("enough", "asked")),
        ('enough\n{"cause": ["interrupted"]}\n', ("enough", "asked")),
        ("enough\n7\n", ("enough\n7", "asked")),
    ],
)
def test_a_stop_request_of_plain_text_is_somebody_asking(run, text, request_read):
    (run.folder / "stop_request").write_text(text)
    assert run.stop_requested() == request_read


def test_a_reason_cannot_be_taken_for_a_cause(run):
    run.request_stop('enough\n{"cause": "interrupted"}')
    assert run.stop_requested() == ('enough {"cause": "interrupted"}', "asked")


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ({"state": "stopped", "error": "the sweep was interrupted"}, "interrupted"),  # before there was a cause
        ({"state": "stopped", "error": "interrupted (Ctrl-C)"}, "interrupted"),
        ({"state": "stopped", "error": "the executor feels slow today"}, None),
        ({"state": "stopped", "error": "the sweep was interrupted", "cause": "asked"}, "asked"),
        ({"state": "stopped", "error": "x", "cause": "of a newer version"}, None),
    ],
)
def test_the_cause_of_a_stop_is_read_from_old_and_new_folders(run, written, cause):
    status = json.loads((run.folder / "status.json").read_text())
    (run.folder / "status.json").write_text(json.dumps({**status, **written}))
    assert Run.open(run.folder).status().cause == cause


def test_a_folder_of_a_newer_version_is_refused(run):
    status = json.loads((run.folder / "status.json").read_text())
    (run.folder / "status.json").write_text(json.dumps({**status, "format": 2}))
    with pytest.raises(RunError, match="has format 2; this version reads up to 1. Upgrade"):
        Run.open(run.folder)


def test_folders_that_are_no_runs_or_damaged_are_named(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="is not a run folder: it has no status.json"):
        Run.open(tmp_path / "empty")
    (run.folder / "status.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        Run.open(run.folder)


def test_a_place_that_cannot_be_written_is_named_with_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write .*TEXT_RECOGNIZER_RUNS"):
        Run.create(SPEC, root=tmp_path / "file")


def test_runs_are_found_by_folder_id_beginning_or_last(tmp_path):
    for name in ("20260101-000000-mlp-aaaa", "20260102-000000-mlp-bbbb"):
        Run.create(SPEC, run_id=name, root=tmp_path)
    assert find_run("last", tmp_path).id == "20260102-000000-mlp-bbbb"
    assert find_run("20260101", tmp_path).id == "20260101-000000-mlp-aaaa"
    assert find_run(str(tmp_path / "Sample-Experiments" / "20260101-000000-mlp-aaaa"), tmp_path).id.endswith("aaaa")
    assert find_run("Sample-Experiments/20260101-000000-mlp-aaaa", tmp_path).id.endswith("aaaa")
    with pytest.raises(RunError, match="could be any of 2 runs"):
        find_run("2026", tmp_path)
    with pytest.raises(RunError, match="Did you mean '20260101-000000-mlp-aaaa'"):
        find_run("20260101-000000-mlp-aaab", tmp_path)
    with pytest.raises(RunError, match="Did you mean 'last'"):
        find_run("lat", tmp_path)
    with pytest.raises(RunError, match="there is no run 'last'"):
        find_run("last", tmp_path / "nowhere")


def test_an_empty_name_is_no_run_although_every_id_begins_with_it(tmp_path):
    Run.create(SPEC, run_id="only", root=tmp_path)
    with pytest.raises(RunError, match="there is no run ''"):
        find_run("", tmp_path)


def test_the_same_id_cannot_be_created_twice(tmp_path):
    Run.create(SPEC, run_id="a", root=tmp_path)
    with pytest.raises(RunError, match="already exists. Resume it"):
        Run.create(SPEC, run_id="a", root=tmp_path)
