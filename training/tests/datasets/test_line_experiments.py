"""The spec files of datasets, each run on a few samples, and on real ones where there are."""

import json
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.exports.hdf5 import write_hdf5
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.rendered_lines import Rendering
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.writing import write_records
from text_recognizer.experiment import assemble
from text_recognizer.registry import BUILT_IN
from text_recognizer.settings import REPOSITORY
from text_recognizer.spec import ExperimentSpec, read_spec
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.archive_pages import LINES, alto, page_image, write_page
from text_recognizer.tests.datasets.character_files import idx_files
from text_recognizer.tests.datasets.file_server import file_entry, write_registry
from text_recognizer.tests.datasets.gnt_files import stroke, write_writers
from text_recognizer.tests.datasets.iam_files import write_iam
from text_recognizer.tests.datasets.line_files import save
from training.cli import main as text_recognizer
from training.runs.find import find_run
from training.tests import quick_networks
from training.tests.quick_runs import run_quickly

EXPERIMENTS = REPOSITORY / "training" / "experiments"
QUICK = [
    "--train_args.epochs=1",
    "--train_args.steps_per_epoch=1",
    "--train_args.batch_size=2",
]
# What is tried here is the data: of the networks, which take seconds each, only that of "page_list" is trained here;
# that of "hwdb" is in test_short_trainings.py, and the others are in test_experiment_files.py.
QUICK_FRAMES = [f"--network={quick_networks.__name__}:QuickFrames", "--network_args={}"]
QUICK_PIXELS = [f"--network={quick_networks.__name__}:QuickPixels", "--network_args={}"]
QUICK_CHARACTERS = ["--network=mlp", "--network_args={}"]
SPECS = {
    "alto_lines": [*QUICK_FRAMES, "--dataset_args.height=32"],
    "alto_paragraphs": [*QUICK_PIXELS, "--dataset_args.side=32"],
    "emnist_lines": [
        *QUICK_FRAMES, "--dataset_args.num_train=8", "--dataset_args.num_validation=2", "--dataset_args.num_test=2",
    ],
    "hwdb": [*QUICK_CHARACTERS, "--dataset_args.side=16"],
    "image_folder": [*QUICK_CHARACTERS, "--dataset_args.side=16"],
    "hdf5_lines": QUICK_FRAMES,
    "iam": [*QUICK_FRAMES, "--dataset_args.subsample_fraction=1.0", "--train_args.batch_size=1"],
    "iam_lines": [*QUICK_FRAMES, "--dataset_args.subsample_fraction=1.0"],
    "iam_paragraphs": [
        *QUICK_PIXELS, "--dataset_args.subsample_fraction=1.0", "--dataset_args.side=32", "--train_args.batch_size=1",
    ],
    "line_list": [*QUICK_FRAMES, "--dataset_args.subsample_fraction=1.0"],
    "page_list": ["--dataset_args.subsample_fraction=1.0", "--dataset_args.side=32"],
    "record_lines": QUICK_FRAMES,
    "records": [*QUICK_CHARACTERS, "--dataset_args.side=16"],
    "rendered_characters": [*QUICK_CHARACTERS, "--dataset_args.side=16", "--dataset_args.repetitions=4"],
    "rendered_lines": [*QUICK_FRAMES, "--dataset_args.num_texts=10"],
}  # fmt: skip
REAL = {
    "alto_lines": QUICK_FRAMES,
    "alto_paragraphs": [*QUICK_PIXELS, "--dataset_args.side=64"],
    "line_list": [*QUICK_FRAMES, "--dataset_args.subsample_fraction=0.02"],
    "page_list": [*QUICK_PIXELS, "--dataset_args.subsample_fraction=0.5", "--dataset_args.side=64"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with everything that is kept in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "kept"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    return tmp_path


def test_every_dataset_of_users_own_files_has_a_spec_file_here():
    files = [
        *SPECS,
        "shipped_line_reader",
    ]  # that one needs fonts which a task fetches; test_joined_lines.py has others
    tried = {json.loads((EXPERIMENTS / f"{name}.json").read_text(encoding="utf-8"))["dataset"] for name in files}
    others = {name for name in BUILT_IN["dataset"] if not name.startswith(("Digits", "Mnist"))} - {"EmnistDataset"}
    assert tried == others


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_file_runs_on_a_few_samples(folder, name, warm):
    _write_samples(folder, name)
    assemble(ExperimentSpec.parse(read_spec(str(EXPERIMENTS / f"{name}.json"))[0]))  # with its own network
    run_spec(warm, name, SPECS[name])


@pytest.mark.parametrize("name", REAL)
def test_a_spec_file_runs_on_real_pages(folder, name, warm):
    if name == "page_list":
        _link_every_tenth_page(folder / "data" / "testaments", shared_data("testaments"))
    else:
        (folder / "data").symlink_to(shared_data("testaments").parent)
    run_spec(warm, name, REAL[name])


def run_spec(warm, name, overrides):
    run_quickly(warm, str(EXPERIMENTS / f"{name}.json"), *QUICK, *overrides)
    run = find_run("last")
    assert run.status().state == "finished"
    evaluation = json.loads((run.folder / "evaluation.json").read_text())
    assert evaluation["count"] > 0
    assert np.isfinite(evaluation["metrics"]["loss"])


def _link_every_tenth_page(folder: Path, real: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "pages").symlink_to(real / "pages")
    pages = json.loads((real / "pages.json").read_text(encoding="utf-8"))
    (folder / "pages.json").write_text(json.dumps(dict(list(pages.items())[::10])), encoding="utf-8")


def _write_samples(folder, name):
    if name.startswith("emnist"):
        _write_emnist(folder)
    elif name.startswith("iam"):
        write_iam(folder / "kept" / "raw" / "iam")
    elif name.startswith("alto"):
        (folder / "data" / "testaments_alto").mkdir(parents=True)
        for index in range(5):
            write_page(folder / "data" / "testaments_alto", f"will_{index}", alto(image=""), seed=index)
    elif name == "hwdb":
        write_writers(folder / "data" / "gnt", range(1001, 1007), "零一二")
    elif name == "records":
        write_writers(folder / "gnt", range(1001, 1007), "零一二")
        written = ["HwdbDataset", str(folder / "data" / "records"), "--dataset_args", '{"path": "gnt"}']
        assert text_recognizer(["records", "write", *written]) == 0
    elif name == "image_folder":
        for number in range(24):
            save(folder / "data" / "letters" / "ab"[number % 2] / f"{number}.png", stroke(number))
    elif name == "page_list":
        _write_pages(folder / "data" / "testaments")
    elif not name.startswith("rendered"):
        _write_lines_as(folder / "data", name)


def _write_lines_as(folder: Path, name: str) -> None:
    path = _write_lines(folder / "testaments")
    if name == "hdf5_lines":
        dataset = LineListDataset(str(path), height=128)
        dataset.prepare()
        write_hdf5(folder / "lines.hdf5", {name: dataset.split(name) for name in SPLIT_NAMES})
    elif name == "record_lines":
        write_records(LineListDataset(str(path)), folder / "records", form_named("default"))


def _write_lines(folder: Path) -> Path:
    """lines.json: two lines of each of six writers."""
    random = np.random.default_rng(0)
    rendering, entries = Rendering(64, ink="dark"), []
    for index in range(12):
        text = f"line {index}"
        save(folder / "lines" / f"w{index // 2}-{index}.png", rendering.draw(text, DEFAULT_FONT, False, random))
        entries.append({"file": f"w{index // 2}-{index}.png", "text": text, "writer": f"w{index // 2}"})
    (folder / "lines.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder / "lines.json"


def _write_pages(folder: Path) -> None:
    lines = [dict(zip(("x1", "y1", "x2", "y2"), box, strict=True), text=text) for box, text in LINES]
    pages = {f"AN_{index:04}-0": {"width": 200, "height": 120, "lines": lines} for index in range(5)}
    for index, name in enumerate(pages):
        save(folder / "pages" / f"{name}.png", page_image(index))
    (folder / "pages.json").write_text(json.dumps(pages), encoding="utf-8")


def _write_emnist(folder: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(62), 4).astype(np.uint8)
    images = random.integers(0, 255, (len(labels), 28, 28)).astype(np.uint8)
    entries = []
    for name, content in idx_files((images, labels), (255 - images, labels), "emnist-byclass-").items():
        (folder / name).write_bytes(content)
        entries.append(file_entry(name, content, (folder / name).as_uri()))
    write_registry(folder / "metadata.toml", {"emnist": entries})
