"""The included experiments: each can be planned, and each kind of training is tried on a few samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.tests.datasets.character_files import idx_files
from text_recognizer.tests.datasets.file_server import file_entry, write_registry
from text_recognizer.tests.line_samples import write_lines, write_pages
from training.runs.find import find_run
from training.sweeps.plan_file import read_plan
from training.tests.quick_runs import run_quickly

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
LINES = ("cnn.json", "line_detector.json", "line_networks.json", "line_reader.json", "lstm_ctc.json", "testaments.json")
EXPERIMENTS = {
    f"{name}-{index}": experiment
    for name in LINES
    for index, experiment in enumerate(json.loads((FOLDER / name).read_text())["experiments"])
}
SMALL = {name: {"units": 8} for name in ("crnn", "flor", "bluche")}
SMALL |= {name: {"units": 8, "layers": 1} for name in ("line_reader", "puigcerver")}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("experiments")
    write_pages(root / "pages")
    write_listed_lines(root / "data" / "testaments")
    write_glyphs(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(root / "runs"))
        patch.setenv("TEXT_RECOGNIZER_DATA", str(root / "prepared"))
        patch.chdir(root)  # some name their files from where one stands
        patch.setenv("TEXT_RECOGNIZER_METADATA", str(root / "metadata.toml"))
        yield root


def write_listed_lines(folder: Path) -> None:
    """lines.json with some lines of each of eight writers."""
    rows = [row.split("\t") for row in write_lines(folder).read_text(encoding="utf-8").splitlines()]
    entries = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    (folder / "lines.json").write_text(json.dumps(entries), encoding="utf-8")


def write_glyphs(root: Path) -> None:
    """Three glyphs of each of the 62 classes for training, two for the test, as a source named "glyphs"."""

    def part(count: int) -> tuple[Any, Any]:
        labels = np.repeat(np.arange(62), count).astype(np.uint8)
        images = np.zeros((len(labels), 28, 28), np.uint8)
        images[:, 6:22, 6:22] = (100 + labels)[:, None, None]
        return images, labels

    entries = []
    for name, content in idx_files(part(3), part(2), "emnist-byclass-").items():
        (root / name).write_bytes(content)
        entries.append(file_entry(name, content, (root / name).as_uri()))
    write_registry(root / "metadata.toml", {"glyphs": entries})


def with_few_samples(experiment: dict[str, Any], root: Path) -> dict[str, Any]:
    """The experiment on made data of the same kind and shape, where its own would have to be fetched."""
    dataset = experiment["dataset"]
    few: dict[str, Any] = {"num_texts": 12}
    if dataset == "EmnistLinesDataset":
        few = {"source": "glyphs", "orientation": "upright", "num_train": 12, "num_validation": 4, "num_test": 4}
    if dataset == "LineListDataset":
        few = {}  # the list is short
    dataset_args = {**experiment.get("dataset_args", {}), **few}
    if dataset == "IamParagraphsDataset":
        dataset, dataset_args = "PageListDataset", {"path": str(root / "pages" / "pages.json"), "side": 64}
    return {
        **experiment,
        "dataset": dataset,
        "dataset_args": dataset_args,
        "network_args": {**experiment.get("network_args", {}), **SMALL.get(experiment["network"], {})},
        "train_args": {**experiment["train_args"], "batch_size": 2, "epochs": 1, "steps_per_epoch": 1},
    }


def with_something_new() -> list[Any]:
    """Experiments whose model, precision or network are in none before.

    Others differ in data and in sizes of networks, which have their tests. Those that name arguments come first, as
    what they show need not be shown without.
    """
    chosen: list[Any] = []
    seen: set[str | None] = set()
    for name, experiment in sorted(
        EXPERIMENTS.items(), key=lambda one: not {"model_args", "network_args"} & set(one[1])
    ):
        model = json.dumps([experiment.get(key) for key in ("model", "model_args")])
        network = experiment["network"]
        precision = experiment["train_args"].get("mixed_precision")
        if not {model, network, precision} <= seen:
            chosen.append(pytest.param(experiment, id=name))
        seen |= {model, network, precision}
    return chosen


@pytest.mark.parametrize("name", LINES)
def test_each_file_is_a_plan(name, places):
    plan = read_plan(FOLDER / name)
    plan.check()
    assert plan.experiments


@pytest.mark.parametrize("experiment", with_something_new())
def test_an_experiment_trains_on_a_few_samples(experiment, places, warm):
    run_quickly(warm, json.dumps(with_few_samples(experiment, places)))
    made = find_run("last")
    assert made.status().state == "finished"
    assert (made.folder / "model" / "bundle.json").exists()
