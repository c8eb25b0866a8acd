"""Models from outside, written against the base class: trained, measured and evaluated like those that are built in."""

import json
from pathlib import Path

import pytest

from training.run_experiment import main
from training.runs.find import find_run

PLUGIN = Path(__file__).parents[1] / "plugin"


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.syspath_prepend(str(PLUGIN))

    def train(model, *arguments, **train_args):
        spec = {
            "dataset": "DigitsDataset",
            "dataset_args": {"subsample_fraction": 0.2},
            "model": f"acme.models:{model}",
            "network": "mlp",
            "network_args": {"layer_size": 16, "num_layers": 1},
            "train_args": {"batch_size": 32, "epochs": 2, **train_args},
        }
        return main([json.dumps(spec), "--nowandb", "--gpu=none", *arguments])

    return train


def test_a_model_that_knows_only_the_base_class_is_trained_and_evaluated(train, capfd):
    assert train("Parity", monitor="val_parity_accuracy") == 0
    run = find_run("last")
    evaluation = json.loads((run.folder / "evaluation.json").read_text())
    assert set(evaluation["metrics"]) == {"loss", "parity_accuracy"}
    low, high = evaluation["intervals_95"]["parity_accuracy"]
    assert low < evaluation["metrics"]["parity_accuracy"] < high
    assert evaluation["classes"]
    assert "test parity accuracy" in capfd.readouterr().out
    assert run.read_json("status.json")["larger_is_better"] == ["val_parity_accuracy"]
    assert (run.folder / "report.html").exists()


def test_a_metric_of_its_own_chooses_the_weights_by_its_own_direction(train):
    assert train("OneMore", monitor="val_parity_accuracy", epochs=3) == 0
    rows = [row for row in find_run("last").rows() if "loss" in row]
    assert {"accuracy", "parity_accuracy", "val_accuracy", "val_parity_accuracy"} <= set(rows[0])
    assert 0 < rows[-1]["parity_accuracy"] <= 1
    best = max(rows, key=lambda row: row["val_parity_accuracy"])
    assert find_run("last").status().summary["best_epoch"] == best["epoch"]


def test_a_model_without_metrics_is_measured_by_its_loss(train, capfd):
    assert train("Silent") == 0
    assert "test loss" in capfd.readouterr().out


def test_a_metric_that_is_declared_and_not_counted_is_named_before_training(train, capfd):
    assert train("Forgetful") == 2
    assert (
        "model 'Forgetful': counts() must return the metrics that the model declares: accuracy, top_3_accuracy, "
        "top_5_accuracy, parity_accuracy. Received: accuracy, top_3_accuracy, top_5_accuracy."
    ) in capfd.readouterr().err
    assert find_run("last").rows() == []


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Terse", "decode() must return a list of Predictions, one for each sample, here 1. Received: ['"),
        ("Mean", "loss() must return the loss of each sample, of shape (B,), in keras.ops. Received: "),
        ("Vague", "details() must return a list of dicts of JSON values, one for each sample, here 1. Received: None."),
    ],
)
def test_a_wrong_result_of_a_method_is_named_before_training(train, capfd, model, expected):
    assert train(model, monitor="val_parity_accuracy") == 2
    assert f"model '{model}': {expected}" in capfd.readouterr().err
    assert find_run("last").rows() == []


def test_a_metric_without_a_direction_is_refused_with_the_remedy(train, capfd):
    assert train("ByName", "--dry-run") == 2
    error = capfd.readouterr().err
    assert "and each metric with its direction" in error
    assert 'Metric("iou", larger_is_better=True)' in error


def test_samples_to_train_on_that_are_no_flags_are_named_before_a_run_starts(train, capfd):
    assert train("Untrained", monitor="val_parity_accuracy") == 2
    said = "trainable() must return an array bool (216,), whether each sample can be trained on. Received: int64 (3,)."
    assert f"model 'Untrained': {said}" in capfd.readouterr().err


def test_a_model_whose_metrics_are_none_is_refused_with_the_remedy(train, capfd):
    assert train("Unmeasured", "--dry-run") == 2
    assert "model 'acme.models:Unmeasured' must declare metrics and metrics_in_training as" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("optimizer", "return None", "its build() must return a Keras optimizer. Received: None."),
        (
            "optimizer",
            "return KerasOptimizer('Adamm', 0.1, {}).build(0.1)",
            "Keras refuses Adamm: module 'keras.optimizers' has no attribute 'Adamm'.",
        ),
        ("schedule", "return 'fast'", "its build() must return a number or a Keras schedule. Received: 'fast'."),
        ("augmentation", "return None", "its build() must return a Keras layer. Received: None."),
    ],
)
def test_what_a_recipe_builds_is_checked_before_training(train, capfd, tmp_path, monkeypatch, kind, body, problem):
    base = f"{kind.capitalize()}Recipe"
    text = f"from text_recognizer.optimizers import KerasOptimizer\nfrom text_recognizer.recipes import {base}\n\n\n"
    text += f"class Mine({base}):\n    usual_learning_rate = 0.1\n\n    def build(self, *given):\n        {body}\n"
    name = f"my_{kind}_of_{len(body)}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert train("Silent", **{kind: f"{name}:Mine"}) == 2
    assert f"error: train_args.{kind}: {problem}" in capfd.readouterr().err
    assert find_run("last").rows() == []
