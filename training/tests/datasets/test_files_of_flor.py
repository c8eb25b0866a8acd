"""Flor's recogniser of IAM (2020): from its folder raw/iam, with its split, image form and network, to its outputs."""

import json

import pytest

from text_recognizer.tests.datasets.iam_files import write_iam
from training.cli import main as text_recognizer
from training.run_experiment import main
from training.runs.find import find_run

# What it did by default; made small where that only costs time.
SPEC = {
    "dataset": "IamDataset",
    "dataset_args": {
        "split": "flor2020",
        "filters": ["ok", "flor2020"],
        "standardize": True,
        "height": 128,
        "max_width": 1024,
        "ink": "dark",
        "preprocessing": ["illumination", "deslant"],
    },
    "model": "LineModelCtc",
    "network": "flor",
    "network_args": {"units": 8},
    "train_args": {
        "optimizer": "rmsprop",
        "batch_size": 1,
        "epochs": 1,
        "steps_per_epoch": 1,
        "early_stopping": {"patience": 20, "min_delta": 1e-8},
        "schedule": "reduce_on_plateau",
        "schedule_args": {"factor": 0.2, "patience": 15},
    },
}


pytestmark = pytest.mark.usefixtures("unoptimised_graphs")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    return tmp_path


def test_its_folder_becomes_a_trained_and_evaluated_run_with_its_outputs(place, capfd):
    raw = write_iam(place / "data" / "raw" / "iam")
    assert main([json.dumps(SPEC), "--nowandb", "--gpu=none"]) == 0
    run = find_run("last")
    evaluation = json.loads((run.folder / "evaluation.json").read_text())
    assert evaluation["count"] == 1  # of two lines of the test set, one is marked as wrongly segmented
    assert set(evaluation["profiles"]["flor2020"]) >= {"character_error_rate", "word_error_rate"}
    assert {"training_s", "epoch_s", "sample_ms"} <= set(evaluation["times"])
    assert evaluation["summary"][0] == {"type": "InputLayer", "output_shape": [128, None, 1], "parameters": 0}

    capfd.readouterr()
    assert text_recognizer(["runs", "export", "last", str(place / "predict.txt")]) == 0
    label, reading = (place / "predict.txt").read_text(encoding="utf-8").splitlines()
    assert label == "TE_L This is a test"
    assert reading.startswith("TE_P ")

    capfd.readouterr()
    image = next((raw / "lines" / "c03").rglob("*-00.png"))
    assert text_recognizer(["predict", str(image), "--bundle", "last", "--alternatives", "10", "--json"]) == 0
    alternatives = json.loads(capfd.readouterr().out)["alternatives"]
    assert len(alternatives) == 10
    assert all(0 <= one["confidence"] <= 1 for one in alternatives)
