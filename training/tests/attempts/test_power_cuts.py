"""What a power cut leaves of runs, and what is made of that: real runs, on a disk that remembers what was synced."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from text_recognizer.models.bundle import find_bundle
from training.run_experiment import main
from training.runs.contents import CHECKPOINT, contents, lost_files, read_status
from training.runs.find import find_run
from training.runs.places import run_folders
from training.runs.run import Run
from training.tests.attempts.power_cut import Disk
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, by_layer_size, run_sweep, sweep_of

SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"layer_size": 16, "num_layers": 1},
    "train_args": {"batch_size": 32, "epochs": 2, "checkpoint_interval_s": 0},
}
START = [json.dumps(SPEC), "--nowandb", "--gpu=none"]
RESUME = ["--resume", "last", "--nowandb", "--gpu=none"]
# As versions before this one wrote them: nothing of this was on the disk when the run was finished.
MADE_LAST = ("model/model.weights.h5", "model/bundle.json", "evaluation.json", "predictions.jsonl", "report.html")


@pytest.fixture
def runs(tmp_path, monkeypatch, digits_prepared):
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_prepared):
    root = tmp_path_factory.mktemp("finished") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(root))
        assert main(START) == 0
        yield find_run("last").folder


@pytest.fixture
def copied(finished, runs):
    """A finished run that may be damaged."""
    return Path(shutil.copytree(finished, runs / "default" / finished.name))


def facts(folder: Path) -> dict[str, object]:
    """What must be the same however often a run was taken up."""
    evaluation = json.loads((folder / "evaluation.json").read_text()) | {"times": None}
    read = {"evaluation": evaluation, "predictions": (folder / "predictions.jsonl").read_text()}
    model = find_bundle(folder).load()
    weights = [weight.numpy().tobytes() for weight in model.keras_model.weights]
    return {**read, "weights": weights, "summary": read_status(folder)["summary"]}


@pytest.mark.parametrize("names_survive", [True, False])
def test_a_power_cut_at_any_moment_leaves_a_run_that_goes_on(names_survive, runs, tmp_path, finished, monkeypatch):
    kept: list[Path] = []  # where a checkpoint was first there, where it was finished, and at the end

    def look(at_end: bool = False) -> None:
        left = disk.left_with_names if names_survive else disk.left_of_synced
        place = left(runs, tmp_path / f"left-{len(kept)}")
        folders = list(run_folders(place))
        is_finished = "finished" in [read_status(folder)["state"] for folder in folders]
        if is_finished:
            assert [lost_files(folder, hashes=True) for folder in folders] == [[]]
        has_come_far = is_finished if kept else any((folder / CHECKPOINT).exists() for folder in folders)
        if at_end or (has_come_far and len(kept) < 2):
            kept.append(place)
        else:
            shutil.rmtree(place)

    with monkeypatch.context() as patch:
        disk = Disk(patch, look)
        assert main(START) == 0
        look(at_end=True)
        disk.close()
    assert len(kept) == 3
    assert [len(Run(folder).rows()) < 2 for folder in run_folders(kept[0])] == [True], "the first checkpoint is there"
    for place in kept:
        monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(place))
        assert main(RESUME) == 0
        assert facts(find_run("last").folder) == facts(finished)


@pytest.mark.parametrize("noted", [True, False])
def test_a_finished_run_whose_files_a_power_cut_emptied_is_finished_again(noted, copied, finished, capfd):
    for name in MADE_LAST:
        (copied / name).write_bytes(b"")
    if not noted:
        forget_contents(copied)
    before = (copied / CHECKPOINT).read_bytes()
    assert main(RESUME) == 0
    said = capfd.readouterr()
    assert "was finished, but has lost " in said.err
    assert "model/model.weights.h5 (" in said.err
    assert "It is finished again from its last checkpoint." in said.err
    assert "finished already" not in said.out
    assert facts(copied) == facts(finished)
    assert lost_files(copied, hashes=True) == []
    assert (copied / CHECKPOINT).read_bytes() == before, "nothing was trained"
    assert Run(copied).rows() == Run(finished).rows()
    assert main(RESUME) == 0
    assert "finished already" in capfd.readouterr().out


@pytest.mark.parametrize("name", MADE_LAST)
def test_every_file_of_a_finished_run_is_missed_when_it_is_gone_or_changed(name, copied):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert lost_files(copied) == []  # as long, and sizes are all that is looked at
    assert lost_files(copied, hashes=True) == [f"{name} (changed)"]
    (copied / name).write_bytes(content[:-1])
    assert lost_files(copied) == [f"{name} ({len(content) - 1} bytes instead of {len(content)})"]
    (copied / name).unlink()
    assert lost_files(copied) == [f"{name} (missing)"]


def test_a_run_of_an_earlier_version_is_taken_as_it_is_unless_a_file_is_empty(copied, capfd):
    forget_contents(copied)
    (copied / "report.html").unlink()  # by somebody who did not need it
    assert main(RESUME) == 0
    assert "finished already" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["/dev/zero", "../../../secret", "x" * 5000, "a\0b"])
def test_a_run_folder_from_elsewhere_cannot_have_other_files_read(name, copied):
    status = read_status(copied)
    status["files"] = {name: {"size_bytes": 0, "sha256": None}}
    Run(copied).write_json("status.json", status)
    assert [loss.startswith(f"{name} (") for loss in lost_files(copied, hashes=True)] == [True]


def forget_contents(folder: Path) -> None:
    status = read_status(folder)
    del status["files"]
    Run(folder).write_json("status.json", status)


# Sweeps


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_sweep_finishes_a_trial_again_whose_files_a_power_cut_emptied(has_checkpoint, tmp_path):
    sweep, _ = run_sweep(SPACE.format(method="grid"), tmp_path, by_layer_size)
    run = Run.open(sweep.trials[2].runs[0].folder)
    for name in MADE_LAST:
        (run.folder / name).parent.mkdir(exist_ok=True)
        (run.folder / name).write_text("content")
    run.note(files=contents(run.folder))
    if has_checkpoint:
        (run.folder / CHECKPOINT).parent.mkdir()
        (run.folder / CHECKPOINT).write_text("content")
    executor = MadeUpExecutor(by_layer_size)
    again, _ = sweep_of(SPACE.format(method="grid"), tmp_path, executor)
    assert again.run().exit_code == 0
    assert executor.started == []
    (run.folder / "model" / "model.weights.h5").write_bytes(b"")
    again, recorder = sweep_of(SPACE.format(method="grid"), tmp_path, executor)
    assert again.run().exit_code == 0
    assert executor.started == ([run.id] if has_checkpoint else [])
    end = "it is finished again from its checkpoint" if has_checkpoint else "it has no checkpoint, and is left as it is"
    assert recorder.events[0] == f"trial 2 has lost model/model.weights.h5 (0 bytes instead of 7): {end}"
    assert [trial.state for trial in again.trials.values()] == ["finished"] * 6


# A real file system


def test_a_disk_whose_power_is_cut_as_a_run_ends_has_all_of_it(tmp_path, finished, monkeypatch, capfd):
    with mounted(tmp_path / "disk", new=True) as place:
        environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(place / "runs")}
        subprocess.run([sys.executable, "-m", "training.run_experiment", *START], env=environ, check=True)
        shutil.copyfile(tmp_path / "disk", tmp_path / "after")  # what the kernel still has in memory is not in it
    with mounted(tmp_path / "after") as place:
        monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(place / "runs"))
        assert lost_files(find_run("last").folder, hashes=True) == []
        assert facts(find_run("last").folder) == facts(finished)
        capfd.readouterr()
        assert main(RESUME) == 0
        assert "finished already" in capfd.readouterr().out


@contextlib.contextmanager
def mounted(disk: Path, new: bool = False) -> Iterator[Path]:
    """The files of a disk that is a file; skips where this user may not mount one."""
    place = disk.with_name(f"{disk.name}-mounted")
    place.mkdir()
    if new:
        with open(disk, "wb") as file:
            file.truncate(64 << 20)
    try:
        if new:
            subprocess.run(["mkfs.ext4", "-q", disk], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", disk, place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
