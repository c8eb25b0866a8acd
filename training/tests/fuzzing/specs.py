"""What describes experiments and sweeps: specs, overrides, sweep files; and the registry of data sets."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from text_recognizer import experiment
from text_recognizer.datasets.remote.metadata import read_registry
from text_recognizer.spec import DEFAULT_SPEC
from training.runs.given_spec import spec_from
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import make_search
from training.sweeps.wandb.agent_trial import AgentTrial
from training.tests.fuzzing.base import Target, as_files, as_text, assembled, only
from training.tests.fuzzing.mutators import Files

SPEC: dict[str, Any] = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.5},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"layer_size": 16, "num_layers": 1},
    "train_args": {"epochs": 2, "schedule": "cosine", "schedule_args": {"warmup_fraction": 0.1}},
    "experiment_group": "group",
    "seed": 3,
}
EXPERIMENTS = {"experiment_group": "g", "experiments": [SPEC, SPEC]}
GRID = """method: grid
metric: {name: val_loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 2}
parameters:
  dataset: {value: DigitsDataset}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [8, 16]}
"""
BAYES = """program: training/run_experiment.py
method: bayes
name: digits
metric: {name: val_accuracy, goal: maximize, target: 0.9}
run_cap: 5
command: ["${env}", python, "${program}", "${args}", --wandb=offline]
parameters:
  network: {value: mlp}
  network_args:
    parameters:
      layer_size: {min: 8, max: 64}
      dropout_amount: {distribution: q_normal, mu: 0.3, sigma: 0.02, q: 0.01}
  train_args.learning_rate: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}
  train_args.batch_size: {values: [16, 32], probabilities: [0.25, 0.75]}
  train_args.epochs: {distribution: q_uniform, min: 1, max: 4, q: 1}
"""
AGENT_VALUES = """wandb_version: 1
network_args:
  value: {layer_size: 8}
train_args.epochs:
  value: 3
seed:
  value: 1
"""
TOML = """[iris]
title = "Irises"
licence = "CC0"
homepage = "https://example.org"
endpoint_url = "http://127.0.0.1:9000"

[[iris.files]]
urls = ["https://example.org/a.zip", "s3://bucket/key", "file:///data/a.zip"]
filename = "a.zip"
sha256 = "{0}"
size_bytes = 12

[[iris.files]]
login = "https://example.org/register"
filename = "b.zip"
sha256 = "{0}"

[plain]
url = "https://example.org/c"
filename = "c"
sha256 = "{0}"
""".format("ab" * 32)


def specs() -> list[Files]:
    lines = {"dataset": "EmnistLinesDataset", "model": "LineModelCtc", "network": "line_lstm_ctc"}
    lines |= {"model_args": {"decoding": "beam", "language_model": 3}, "train_args": {"optimizer": "adamw"}}  # type: ignore[dict-item]
    own = {"dataset_args.subsample_fraction": 0.1, "train_args": {"augmentation": "affine"}}
    small = {**SPEC, **own, "network": "lenet", "network_args": {}}
    return as_files("spec.json", SPEC, lines, small, json.loads(DEFAULT_SPEC.read_text()))


def overrides() -> list[Files]:
    values = {"network_args": {"layer_size": 8}, "train_args.epochs": 3, "train_args.learning_rate": 1e-4}
    text = b"network: mlp\nnetwork_args.layer_size: 8\ntrain_args:\n  learning_rate: 1e-4\n  optimizer: adam\nseed: 1\n"
    return [*as_files("values.json", values), {"values.yaml": text}]


def _sweep_file(folder: Path) -> None:
    plan = read_plan(only(folder))
    list(plan.warnings())
    plan.check()
    search = make_search(plan)
    for number in (1, 2, 3):
        search.ask(number)


def _agent(folder: Path) -> None:
    environ = {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r", "WANDB_SWEEP_PARAM_PATH": str(folder / "values.yaml")}
    trial = AgentTrial.from_environ(environ)
    assert trial is not None
    experiment.assemble(spec_from(None, None, trial.overrides({})))


TARGETS = (
    Target("spec", specs, lambda folder: assembled(f"{folder}/spec.json")),
    Target("overrides", overrides, lambda folder: assembled(overrides=str(only(folder))), share=0.5),
    Target("sweep_yaml", partial(as_text, "sweep.yaml", GRID, BAYES), _sweep_file, share=0.2),
    Target("experiments", partial(as_files, "experiments.json", EXPERIMENTS), _sweep_file),
    Target("agent_values", partial(as_text, "values.yaml", AGENT_VALUES), _agent),
    Target(
        "registry",
        partial(as_text, "metadata.toml", TOML),
        lambda folder: read_registry(folder / "metadata.toml"),
    ),
)
