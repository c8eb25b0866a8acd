"""Folders of runs and sweeps after kills, power cuts, full disks, and people who delete things."""

import contextlib
import csv
import errno
import os
import shutil
import signal
from pathlib import Path

import pytest

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from training.attempts.attempt import attempt
from training.attempts.train_and_evaluate import _folder_is_gone
from training.cli import main as text_recognizer
from training.devices.gpu_manager import Lease
from training.files.safe_files import is_blank, replace_file
from training.runs.find import find_run
from training.runs.run import Run
from training.runs.run_table import read_rows
from training.sweeps.folder import SweepFolder
from training.sweeps.results.ending import finish_sweep
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, begin_trial, by_layer_size, run_sweep, sweep_of

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", experiment_group="g")
GRID = SPACE.format(method="grid")


@pytest.fixture
def run(tmp_path):
    run = Run.create(SPEC, "one", tmp_path)
    yield run
    run.release()


@pytest.fixture
def synced(monkeypatch):
    """The names of what was put on the disk, in order."""
    names: list[str] = []

    def note(descriptor: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "fdatasync", note)
    return names


def fill_disk(folder: Path, name: str) -> None:
    """The next time that a file of a folder is replaced, the disk is full."""
    (folder / f".{name}.new").symlink_to("/dev/full")


# A run whose making was interrupted


def test_a_run_gets_its_name_once_its_folder_is_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Run, "note", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))  # before the last file
        pid = os.fork()
        if pid == 0:
            try:
                Run.create(SPEC, "one", tmp_path)
            finally:
                os._exit(1)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert not (tmp_path / "g" / "one").exists()
    assert list(read_rows(tmp_path)) == []
    run = Run.create(SPEC, "one", tmp_path)
    assert run.status().state == "created"
    assert [path.name for path in (tmp_path / "g").iterdir()] == ["one"]


def test_a_full_disk_leaves_nothing_of_a_new_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "_begin", classmethod(lambda *_: _raise(OSError(errno.ENOSPC, "No space left on device"))))
    with pytest.raises(RunError, match=r"cannot write .*one: No space left on device \(.*\). Free some space"):
        Run.create(SPEC, "one", tmp_path)
    assert list((tmp_path / "g").iterdir()) == []


@pytest.mark.parametrize("left", [[], ["spec.json"], ["spec.json", "launch.json"], [".spec.json.new"]])
def test_what_is_left_of_a_folder_that_was_never_whole_becomes_a_run(tmp_path, left):
    folder = tmp_path / "g" / "one"
    folder.mkdir(parents=True)
    for name in left:
        (folder / name).write_text("{}" if name.startswith(".") else "")
    run = Run.create(SPEC, "one", tmp_path)
    assert run.spec == SPEC
    assert run.read_json("launch.json") == {"attempts": []}
    assert Run.open(folder).status().state == "created"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folder = tmp_path / "g" / "one"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="exists and is not a run folder. Move it away"):
        Run.create(SPEC, "one", tmp_path)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def _raise(error):
    raise error


# A power cut


@pytest.mark.parametrize("content", [b"", b"\0" * 40])
def test_a_run_whose_status_a_power_cut_emptied_has_died_and_can_be_taken_up(run, content, tmp_path):
    (run.folder / "status.json").write_bytes(content)
    taken = find_run("one", tmp_path)
    assert taken.status().state == "died"
    assert [row.state for row in read_rows(tmp_path)] == ["died"]
    taken.hold()
    taken.set_state("running")
    assert taken.status().times.keys() == {"created", "started"}
    taken.release()


def test_a_run_whose_spec_a_power_cut_emptied_is_made_again_around_its_checkpoints(run, tmp_path):
    (run.folder / "spec.json").write_bytes(b"")
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "last.npz").write_bytes(b"x")
    assert Run.create(SPEC, "one", tmp_path).spec == SPEC
    assert (run.folder / "checkpoints" / "last.npz").read_bytes() == b"x"


def test_only_what_must_survive_a_power_cut_is_synced(tmp_path, synced):
    run = Run.create(SPEC, "one", tmp_path)
    run.write_json("environment.json", {})
    run.set_state("running")
    run.log({"epoch": 1})
    run.log({"epoch": 2})
    assert synced == ["spec.json"]  # a run must start fast, and a report cost no more than its line
    run.sync()
    names = ["spec.json", "launch.json", "environment.json", "one", "g", tmp_path.name, "metrics.jsonl"]
    assert synced[1:] == names
    run.sync()
    assert len(synced) == 8
    run.log({"epoch": 3})
    run.set_state("finished")
    assert synced[8:] == ["metrics.jsonl", ".status.json.new", "one"]
    run.release()


def test_events_of_a_sweep_are_on_the_disk_before_what_follows_from_them(tmp_path, synced):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert synced == [tmp_path.name, ".sweep.yaml.new", "sweep", ".sweep.json.new", "sweep"]
    sweep.folder.hold()
    synced.clear()
    begin_trial(sweep)  # its suggestion, its start, and then its folder, which can be made anew
    sweep.folder.sync()  # nothing new
    sweep.folder.write_text("leaderboard.csv", "", durable=False)
    assert synced == ["trials.jsonl"]
    sweep.folder.release()


@pytest.mark.parametrize("emptied", [["status.json"], ["spec.json", "status.json"], ["spec.json"]])
def test_a_sweep_goes_on_with_runs_whose_files_a_power_cut_emptied(tmp_path, emptied):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    trial = begin_trial(sweep)
    sweep.folder.release()
    for name in emptied:
        (trial.runs[0].folder / name).write_bytes(b"")
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert again.run().complete
    assert [trial.state for trial in again.trials.values()] == ["finished"] * 6


@pytest.mark.parametrize("left", ["nothing", "no status"])
def test_a_sweep_goes_on_after_the_making_of_a_run_was_interrupted(tmp_path, left):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    folder = begin_trial(sweep).runs[0].folder
    sweep.folder.release()
    (folder / "status.json").unlink()
    if left == "nothing":
        shutil.rmtree(folder)
        folder.mkdir()
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert again.run().complete


def test_a_sweep_whose_first_file_a_power_cut_emptied_can_be_begun(tmp_path):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    (sweep.folder.path / "sweep.json").write_bytes(b"")
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert again.run().complete


@pytest.mark.parametrize("recorded", [{}, {"dataset_fingerprint": None}, {"dataset_fingerprint": 5}])
def test_a_run_that_does_not_say_which_data_it_has_is_not_gone_on_with(recorded, run, digits_prepared):
    run.write_json("environment.json", recorded)
    with pytest.raises(RunError, match=r"environment.json does not say which data the run has: .* remove the file and"):
        attempt(run, Lease(()), "disabled")
    assert run.status().state == "failed"


# A full disk, a folder that cannot be written


def test_a_file_that_cannot_be_replaced_stays_as_it_was(run):
    fill_disk(run.folder, "status.json")
    with pytest.raises(RunError, match=r"cannot write .*status.json: No space left on device \(.*\). Free some space"):
        run.set_state("running")
    assert Run.open(run.folder).status().state == "created"
    run.set_state("running")  # there is space again


@pytest.mark.parametrize(("name", "act"), [("run.lock", Run.hold), ("metrics.jsonl", lambda run: run.log({}))])
def test_a_run_folder_that_cannot_be_written_is_named(run, name, act):
    (run.folder / name).mkdir()  # to root, permissions are no obstacle
    with pytest.raises(RunError, match=f"cannot write .*{name}: Is a directory"):
        act(run)


@pytest.mark.parametrize("name", ["sweep.lock", "trials.jsonl"])
def test_a_sweep_folder_that_cannot_be_written_is_named(tmp_path, name):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    (sweep.folder.path / name).mkdir()
    with pytest.raises(RunError, match=f"cannot write .*{name}: Is a directory"):
        sweep.folder.hold()
    assert sweep.folder.holder() is None


def test_a_request_that_cannot_be_written_is_an_error_in_words(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    fill_disk(run.folder, "stop_request")
    assert text_recognizer(["runs", "stop", "one"]) == 2
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    fill_disk(sweep.folder.path, "control")
    assert text_recognizer(["sweeps", "pause", "sweep"]) == 2
    said = capsys.readouterr().err
    assert said.count("No space left on device (") == said.count("). Free some space and do the same again.") == 2


def test_a_full_disk_ends_a_sweep_and_costs_no_trial(tmp_path):
    free = iter([True, False])

    def story(spec, attempt):
        return by_layer_size(spec, attempt) if next(free, False) else "RunError: [Errno 28] No space left on device"

    sweep, recorder = sweep_of(GRID, tmp_path, MadeUpExecutor(story, capacity=1))
    with pytest.raises(RunError, match=f"the disk is full: {tmp_path}.* give the same command again"):
        sweep.run()
    assert "failed (full disk)" in recorder.events[-1]
    assert [trial.state for trial in sweep.trials.values()] == ["finished", "pending"]
    executor = MadeUpExecutor(by_layer_size)
    again, _ = sweep_of(GRID, tmp_path, executor)
    assert again.run().exit_code == 0
    assert len(executor.started) == 5  # of six points


def test_many_processes_may_replace_one_file_at_once(tmp_path):
    texts = [letter * 100_000 for letter in "abcd"]
    children = []
    for text in texts:
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                for _ in range(200):
                    replace_file(tmp_path / "control", text)
                    assert (tmp_path / "control").read_text() in texts
                code = 0
            os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


def test_what_refuses_a_file_decides_the_advice(tmp_path):
    with pytest.raises(RunError, match="File name too long. Give a shorter name"):
        replace_file(tmp_path / ("x" * 300), "")
    with pytest.raises(RunError, match="Set TEXT_RECOGNIZER_RUNS"):
        replace_file(tmp_path / "nowhere" / "x", "")
    assert is_blank(tmp_path / "nowhere" / "x")


# Damaged and deleted folders


def test_a_sweep_whose_folder_is_gone_stops_and_says_so(tmp_path, monkeypatch):
    executor = MadeUpExecutor(by_layer_size, capacity=1)
    sweep, recorder = sweep_of(GRID, tmp_path, executor)
    monkeypatch.setattr(recorder, "event", lambda _: shutil.rmtree(sweep.folder.path))
    with pytest.raises(RunError, match=r"the folder .*sweep was deleted, moved or replaced while this process"):
        sweep.run()
    assert len(executor.started) == 1


def test_a_sweep_does_without_a_finished_run_that_somebody_deleted(tmp_path, capsys):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    best = sweep.history.best()
    assert best is not None
    shutil.rmtree(best.runs[0].folder)
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert finish_sweep(again.plan, again.folder, again.history, again.run()) == 0
    with open(again.folder.path / "leaderboard.csv", newline="") as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    assert len(rows) == 6
    assert (rows["5"]["state"], rows["5"]["test_accuracy"]) == ("finished", "")
    assert rows["6"]["test_accuracy"] == "0.5"
    assert (again.folder.path / "report.html").exists()
    assert "best        trial 5" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sweep.yaml", "leaderboard.csv", "best_spec.json", "report.html", "control"])
def test_a_sweep_does_not_wait_for_a_pipe_in_its_folder(tmp_path, name):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    (sweep.folder.path / name).unlink(missing_ok=True)
    os.mkfifo(sweep.folder.path / name)
    if name == "control":
        with pytest.raises(RunError, match="control cannot be read: Not a regular file"):
            _ = sweep.folder.wish
        return
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    assert finish_sweep(again.plan, again.folder, again.history, again.run()) == 0


@pytest.mark.parametrize("damaged", ["status.json", "spec.json"])
def test_a_sweep_goes_on_without_a_run_that_is_damaged(tmp_path, damaged):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep.folder.hold()
    trial = begin_trial(sweep)
    sweep.folder.release()
    (trial.runs[0].folder / damaged).write_text("[5]")
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    result = again.run()
    assert (result.complete, result.exit_code) == (True, 1)
    assert [trial.state for trial in again.trials.values()] == ["failed", *["finished"] * 5]
    assert str(again.trials[1].error).startswith("damaged: ")
    assert finish_sweep(again.plan, again.folder, again.history, result) == 1


def test_names_that_no_folder_can_have_are_not_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    for noun in ("runs", "sweeps"):
        assert text_recognizer([noun, "show", "x" * 300]) == 2
        assert f"there is no {noun[:-1]} 'xxx" in capsys.readouterr().err
    with pytest.raises(RunError, match="File name too long"):
        Run.create(SPEC, "x" * 300, tmp_path)
    with pytest.raises(RunError, match="File name too long"):
        SweepFolder(tmp_path / ("x" * 300)).exists()


def test_a_place_for_runs_that_cannot_be_one_is_named_with_the_setting(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    for place, said in ((str(tmp_path / "file"), "Not a directory"), ("~no-such-user/runs", "home folder")):
        monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", place)
        for command in (["runs", "list"], ["watch", "--once"]):
            assert text_recognizer(command) == 2
            error = capsys.readouterr().err
            assert said in error
            assert "TEXT_RECOGNIZER_RUNS" in error


def test_what_cannot_be_written_since_the_folder_is_gone_is_said_to_be_so(run, tmp_path):
    run.hold()
    error = RunError("cannot write the checkpoint: No such file or directory. Free some space.")
    assert _folder_is_gone(run, error) is None
    shutil.rmtree(run.folder)
    assert "was deleted, moved or replaced while" in str(_folder_is_gone(run, error))
    assert _folder_is_gone(run, KeyboardInterrupt()) is None
