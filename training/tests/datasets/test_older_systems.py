"""Files and commands of older systems, as they lie on the disks of their users, end in trained and evaluated runs."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from text_recognizer.tests.datasets.character_files import mat_bytes, part, transposed, zip_bytes
from text_recognizer.tests.datasets.file_server import sha256
from text_recognizer.tests.datasets.iam_files import fsdl_archive
from text_recognizer.tests.datasets.line_files import read_poems, write_poems
from text_recognizer.tests.waiting import PATIENCE_S
from training.tests.warm_commands import REPOSITORY, Warm

FEW_LINES = [f"--dataset_args.num_{split}={count}" for split, count in (("train", 4), ("validation", 2), ("test", 2))]
ONE_STEP = ["--train_args.epochs=1", "--train_args.steps_per_epoch=1", "--gpu=none"]


class Project:
    """A checkout with small data, in which the tasks find an environment whose commands come from a warm process."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        shutil.copytree(REPOSITORY / "tasks", folder / "tasks")
        (folder / "training").symlink_to(REPOSITORY / "training")
        (folder / "evaluation").symlink_to(REPOSITORY / "evaluation")
        (folder / ".venv" / "bin").mkdir(parents=True)
        path = f"{programs}{os.pathsep}{Path(sys.executable).parent}"
        (folder / ".venv" / "bin" / "activate").write_text(f'export PATH="{path}:$PATH"\n')
        for name in ("pyproject.toml", "constraints.txt"):
            (folder / name).write_text("")
        checksum = subprocess.run(["cksum"], input=b"", capture_output=True, check=True).stdout.decode().strip()
        (folder / ".venv" / ".stamp").write_text(f"cpu {folder} {checksum}\n")
        self.environ = {
            **os.environ,
            "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
            "TEXT_RECOGNIZER_EXTRA": "cpu",
            "TEXT_RECOGNIZER_DATA": "data",
            "TEXT_RECOGNIZER_RUNS": "runs",
            "TEXT_RECOGNIZER_MODELS": "models",
            "WANDB_MODE": "disabled",
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=4 * PATIENCE_S
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def newest_run(self) -> Path:
        return max(self.folder.glob("runs/*/2*"), key=lambda run: run.stat().st_ctime)


@pytest.fixture(scope="module")
def fsdl(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Project:
    """The data of the Full Stack Deep Learning recogniser: a metadata.toml of three keys in each folder of data/raw."""
    project = Project(tmp_path_factory.mktemp("fsdl"), warm.programs)
    letters = [index % 62 for index in range(62 * 4)]
    emnist = mat_bytes(transposed(part(letters)), transposed(part(list(range(62)))))
    archives = {
        "emnist": ("matlab.zip", zip_bytes({"matlab/emnist-byclass.mat": emnist})),
        "iam": ("iamdb.zip", fsdl_archive()),
    }
    for name, (filename, content) in archives.items():
        source = project.folder / "server" / filename
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        metadata = project.folder / "data" / "raw" / name / "metadata.toml"
        metadata.parent.mkdir(parents=True)
        text = f"url = '{source.as_uri()}'\nfilename = '{filename}'\nsha256 = '{sha256(content)}'\n"
        metadata.write_text(text, encoding="utf-8")
    project.environ["TEXT_RECOGNIZER_METADATA"] = "data/raw"
    return project


@pytest.mark.parametrize(
    ("task", "small", "metric"),
    [
        ("train_character_predictor", [], "accuracy"),
        ("train_lstm_line_predictor", FEW_LINES, "character_error_rate"),
        ("train_lstm_line_predictor_on_iam", [], "character_error_rate"),
        ("train_line_detector", ["--dataset_args.side=32"], "line_f1"),
    ],
)
def test_a_task_of_the_full_stack_recogniser_trains_on_its_files(
    fsdl: Project, task: str, small: list[str], metric: str
) -> None:
    fsdl.run(f"tasks/{task}.sh", "--train_args.batch_size=3", *small, *ONE_STEP)
    run = fsdl.newest_run()
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert metric in json.loads((run / "evaluation.json").read_text())["metrics"]
    spec = json.loads((run / "spec.json").read_text())
    name = "_".join(spec[key] for key in ("model", "dataset", "network"))
    assert (fsdl.folder / "models" / "names" / name / "1.json").is_file()


def test_the_other_tasks_of_the_full_stack_recogniser_run(fsdl: Project) -> None:
    commands = fsdl.run("tasks/prepare_sample_experiments.sh").splitlines()
    assert [command.split(" ")[:2] for command in commands] == [["run_experiment", "--gpu=-1"]] * 3
    assert "evaluation/test_character_predictor.py" in fsdl.run("tasks/test_validation.sh", "--collect-only", "-q")
    archive = fsdl.folder / "data" / "raw" / "emnist" / "matlab.zip"
    if not archive.exists():
        shutil.copy(fsdl.folder / "server" / "matlab.zip", archive)
    metadata = archive.with_name("metadata.toml")
    before = metadata.read_text()
    metadata.write_text(before.replace(sha256(archive.read_bytes()), "0f" * 32))
    fsdl.run("tasks/update_metadata.sh", "emnist")
    assert tomllib.loads(metadata.read_text()) == tomllib.loads(before)


def test_the_folder_of_a_recogniser_of_poems_is_trained_on_evaluated_and_written_again(
    tmp_path: Path, warm: Warm
) -> None:
    project = Project(tmp_path, warm.programs)
    texts = ["一日难再晨", "床前明月光", "疑是地上霜", "举头望明月", "低头思故乡", "白日依山尽"]
    data = write_poems(tmp_path / "data", texts, tested=[1, 4, 10])
    dataset_args = {"path": "data", "height": 16, "width": 60, "charset": "data/chinese.txt"}
    spec = {"dataset": "LineListDataset", "dataset_args": dataset_args, "model": "LineModelCtc", "network": "crnn"}
    project.run("run_experiment", json.dumps(spec), "--network_args.units=8", "--train_args.batch_size=4", *ONE_STEP)
    evaluation = json.loads((project.newest_run() / "evaluation.json").read_text())
    assert "character_error_rate" in evaluation["metrics"]
    arguments = ["--dataset_args", json.dumps({"path": "data", "height": 32}), "--as", "maps"]
    project.run("text-recognizer", "datasets", "export", "LineListDataset", "written", *arguments)
    pictures, read = read_poems(tmp_path / "written", "Test")
    assert sorted(read) == sorted(read_poems(data, "Test")[1])
    assert all(picture.shape[::2] == (32, 3) for picture in pictures)
