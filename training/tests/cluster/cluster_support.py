"""Sweeps on clusters that run on this machine: one grid, and its driver as a process that can be killed."""

import csv
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.sweeps.sweep_support import journal

_TASK = str(REPOSITORY / "tasks" / "test_slurm.sh")

GRID = """
method: grid
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.3}}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: SIZES}
  train_args.batch_size: {value: 16}
  train_args.epochs: {value: 12}
  train_args.checkpoint_interval_s: {value: 0}
"""


class SlurmNodes:
    """A Slurm with three nodes on this machine, as long as the context lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "SlurmNodes":
        started = subprocess.run([_TASK, "start", str(self.folder)], capture_output=True, text=True, check=False)
        self._patch.setenv("SLURM_CONF", started.stdout.strip())
        try:
            assert started.returncode == 0, started.stderr
            wait_until(lambda: commanded("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "3")
        except AssertionError as error:  # a container may not allow it
            self.__exit__()
            pytest.skip(f"a Slurm of three nodes does not start on this machine: {error}")
        return self

    @contextmanager
    def hidden(self, folder: Path, number: int) -> Iterator[None]:
        """A folder is another one on that node; needs a node with mounts of its own."""
        pid = (self.folder / f"n{number}.pid").read_text().strip()
        if os.stat(f"/proc/{pid}/ns/mnt").st_ino == os.stat("/proc/self/ns/mnt").st_ino:
            pytest.skip("the nodes of Slurm share all mounts with this process")
        there = ["nsenter", f"--target={pid}", "--mount"]
        subprocess.run([*there, "mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)
        yield
        subprocess.run([*there, "umount", str(folder)], check=True)

    def __exit__(self, *_: object) -> None:
        commanded("scancel", "--user=root", "--quiet")
        self._patch.undo()
        subprocess.run([_TASK, "stop", str(self.folder)], check=False)


def commanded(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def processes(pattern: str) -> list[int]:
    """Those of which the command line has this pattern."""
    return [int(pid) for pid in commanded("pgrep", "-f", pattern).split()]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def leaderboard(sweep: Path) -> list[dict[str, str]]:
    """Its rows, without the ids of runs."""
    with open(sweep / "leaderboard.csv") as file:
        return [{key: value for key, value in row.items() if key != "run"} for row in csv.DictReader(file)]


class Driver:
    """One start of run_sweep."""

    def __init__(
        self, folder: Path, *options: str, sizes: int = 6, host: str | None = None, python: str | Path = sys.executable
    ) -> None:
        (folder / "grid.yaml").write_text(GRID.replace("SIZES", str([4 * size for size in range(1, sizes + 1)])))
        self.sweep = folder / "runs" / "grid"
        self._output = folder / "output.txt"
        command = [str(python), "-m", "training.run_sweep", "grid.yaml", "--nowandb", "--gpu=none", *options]
        if host is not None:
            command = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host, *command]
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

    def exit_code(self) -> int | None:
        return self._process.poll()

    def output(self) -> str:
        return self._output.read_text()

    def ends(self) -> int:
        assert self._process.poll() is None, self.output()
        return sum(event["event"] == "end" for event in self.events())

    def events(self) -> list[dict[str, Any]]:
        return journal(self.sweep) if (self.sweep / "trials.jsonl").exists() else []

    def table(self) -> list[dict[str, str]]:
        return leaderboard(self.sweep)

    def times_over(self) -> list[int]:
        """How often the end of each trial was written down for good."""
        events = self.events()
        return list(Counter(one["run"] for one in events if one["event"] == "end" and one.get("over")).values())

    def failures(self) -> set[str]:
        return {event["failure"] for event in self.events() if "failure" in event}
