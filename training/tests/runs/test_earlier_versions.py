"""Folders of earlier versions: the formats are a contract, so what they hold goes on as if nothing had changed."""

import json
import shutil
from pathlib import Path

import pytest

from training.run_experiment import main
from training.runs.run import Run

FIXTURES = Path(__file__).with_name("fixtures")
TIMING = {"images_per_s", "input_wait", "time"}


def rows(path: Path) -> list[dict[str, float]]:
    """The last report of each epoch, and the test metrics."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    latest = {(row["epoch"], "test_loss" in row): row for row in found}
    return [{name: value for name, value in row.items() if name not in TIMING} for row in latest.values()]


def test_a_run_that_version_0_1_0_left_in_the_middle_of_an_epoch_ends_with_its_numbers(tmp_path, monkeypatch):
    """The fixture was killed with SIGKILL in epoch 5 of 12; expected.jsonl is what the same version went on to."""
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "runs" / "earlier" / "killed"
    shutil.copytree(FIXTURES / "run_of_version_0_1_0", folder)
    assert main(["--resume", str(folder), "--nowandb", "--gpu=none"]) == 0
    assert Run.open(folder).status().state == "finished"
    expected, found = rows(folder / "expected.jsonl"), rows(folder / "metrics.jsonl")
    assert [row["epoch"] for row in found] == [row["epoch"] for row in expected]
    for now, then in zip(found, expected, strict=True):
        # Equal to the last bit on the processor that made it; another one may add up in another order.
        assert now == pytest.approx(then, rel=1e-4)
