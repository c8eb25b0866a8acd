"""Sweeps on a real Slurm: three nodes on this machine, where slurm-wlm is installed and the tests are root's."""

import csv
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.sweep_support import journal

GRID = """
method: grid
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.3}}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [4, 8, 12, 16, 20, 24]}
  train_args.batch_size: {value: 16}
  train_args.epochs: {value: 12}
  train_args.checkpoint_interval_s: {value: 0}
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = shutil.which("slurmctld", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None or os.geteuid() != 0:
        pytest.skip("needs root and a Slurm to start: apt-get install slurm-wlm")
    folder = tmp_path_factory.mktemp("slurm")
    task = str(REPOSITORY / "tasks" / "test_slurm.sh")
    started = subprocess.run([task, "start", str(folder)], capture_output=True, text=True, check=False)
    try:
        assert started.returncode == 0, started.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", started.stdout.strip())
            wait_until(lambda: commanded("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "3")
            yield folder
            commanded("scancel", "--user=root", "--quiet")
    finally:
        subprocess.run([task, "stop", str(folder)], check=False)


def commanded(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Driver:
    """One start of run_sweep."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "grid.yaml").write_text(GRID)
        self.sweep = folder / "runs" / "grid"
        self._output = folder / "output.txt"
        command = [sys.executable, "-m", "training.run_sweep", "grid.yaml", "--nowandb", "--gpu=none", *options]
        with open(self._output, "ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "TEXT_RECOGNIZER_RUNS": str(folder / "runs"), "PYTHONPATH": str(REPOSITORY)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self) -> str:
        assert self._process.wait(PATIENCE_S) == 0, self.output()
        return self.output()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def output(self) -> str:
        return self._output.read_text()

    def ends(self) -> int:
        assert self._process.poll() is None, self.output()
        return sum(event["event"] == "end" for event in self.events())

    def events(self) -> list[dict[str, Any]]:
        return journal(self.sweep) if (self.sweep / "trials.jsonl").exists() else []

    def table(self) -> list[dict[str, str]]:
        with open(self.sweep / "leaderboard.csv") as file:
            return [{key: value for key, value in row.items() if key != "run"} for row in csv.DictReader(file)]


def running_jobs() -> list[str]:
    return commanded("squeue", "-h", "-t", "running", "-o", "%A").split()


def test_a_disturbed_sweep_on_slurm_ends_with_the_leaderboard_of_this_machine(slurm, tmp_path, digits_prepared):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = Driver(tmp_path / "here", "--jobs=2")
    here.finish()
    options = ("--executor=slurm", "--nodes=2", "--slurm=comment=test", "--retries=0")
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 1)
    driver.kill()
    killed, warned = running_jobs()
    commanded("scancel", "--signal=KILL", "--batch", killed)  # the agent alone; its zygote and runs notice
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 3)
    commanded("scancel", "--signal=USR1", "--batch", warned)  # as at a time limit
    output = driver.finish()
    assert driver.table() == here.table()
    events = driver.events()
    over = Counter(event["run"] for event in events if event["event"] == "end" and event.get("over"))
    assert list(over.values()) == [1] * 6
    assert {event["failure"] for event in events if "failure" in event} <= {"preempted"}, output
    wait_until(lambda: not running_jobs())
    assert not list(driver.sweep.glob("agents/driver.*.beat"))
