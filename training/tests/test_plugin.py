"""A package from outside, installed beside this one: everything that can be added is, by name, and works together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from text_recognizer.tests.waiting import PATIENCE_S

PLUGIN = Path(__file__).with_name("plugin")
OF_ACME = {
    "datasets": "FewDigits",
    "models": "OneMore",
    "networks": "linear",
    "optimizers": "calm_adam",
    "schedules": "slope",
    "augmentations": "wobble",
    "trackers": "lines",
    "executors": "here",
    "searches": "corners",
    "stopping_rules": "enough",
    "exports": "texts",
    "model_exports": "whole",
    "commands": "hello",
}
SWEEP = {
    "method": "grid",
    "metric": {"name": "val_parity_accuracy", "goal": "maximize"},
    "parameters": {
        "dataset": {"value": "FewDigits"},
        "model": {"value": "OneMore"},
        "network": {"value": "linear"},
        "network_args.units": {"values": [0, 4, 8]},
        "train_args.optimizer": {"value": "calm_adam"},
        "train_args.schedule": {"value": "slope"},
        "train_args.augmentation": {"value": "wobble"},
        "train_args.epochs": {"value": 2},
    },
}

pytestmark = pytest.mark.usefixtures("warm_python")


@pytest.fixture
def command(tmp_path):
    def run(module: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PLUGIN), "TEXT_RECOGNIZER_RUNS": str(tmp_path / "runs")},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_kind_is_listed_with_what_the_package_adds(command):
    listed = json.loads(command("training.cli", "list", "--json"))
    assert {kind: name for kind, name in OF_ACME.items() if name in listed[kind]} == OF_ACME
    assert set(listed) == {*OF_ACME, "train_args"}
    assert listed["stopping_rules"]["enough"]["arguments"]["most"]["default"] == 2
    assert listed["searches"]["corners"]["arguments"].keys() == {"rounds"}
    parts = json.loads(command("training.run_experiment", "--schema"))["$defs"]
    assert all(OF_ACME[kind] in parts[kind]["properties"] for kind in parts)
    assert parts["searches"]["properties"]["corners"]["properties"].keys() == {"rounds"}


def test_a_sweep_is_made_of_parts_from_outside_alone(command, tmp_path, digits_prepared):
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    parts = ["--search=corners:rounds=1", "--stopping-rule=enough:most=99", "--executor=here", "--track=lines:told.txt"]
    output = command("training.run_sweep", "sweep.yaml", "--nowandb", "--gpu=none", *parts)
    assert "acme executes" in output
    assert "corners:rounds=1 search" in output
    runs = sorted(tmp_path.glob("runs/sweep/*/spec.json"), key=lambda path: path.parent.name[-4:])
    assert [json.loads(path.read_text())["network_args"]["units"] for path in runs] == [0, 8]
    rows = [json.loads(line) for line in runs[0].with_name("metrics.jsonl").read_text().splitlines()]
    assert "val_parity_accuracy" in rows[0]
    journal = [json.loads(line) for line in (tmp_path / "runs/sweep/trials.jsonl").read_text().splitlines()]
    assert {"corner": 1} in [event.get("how") for event in journal]
    command("training.cli", "export", str(runs[0].parent), "--format=whole", "--output=network.keras")
    assert (tmp_path / "network.keras").exists()
    assert any("at most 99" in event.get("text", "") for event in journal if event["event"] == "decision")


def test_a_command_and_an_export_are_found_by_name_and_by_path(command, tmp_path):
    assert command("training.cli", "hello", "you") == "hello you\n"
    assert command("training.cli", "acme.commands:Hello", "you") == "hello you\n"
    assert "hello" in command("training.cli", "help")
    arguments = ["RenderedLinesDataset", "--dataset_args", json.dumps({"num_texts": 20, "noise": [], "height": 16})]
    command("training.cli", "datasets", "export", arguments[0], "texts.txt", *arguments[1:], "--as=texts:upper=true")
    texts = (tmp_path / "texts.txt").read_text().splitlines()
    assert len(texts) == 20
    assert texts == [text.upper() for text in texts]
