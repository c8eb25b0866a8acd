"""What the tests of executors share: small runs, what must be equal between two of them, and waiting."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from text_recognizer.trust import VARIABLE
from training.devices.cpu_slots import cpu_slots
from training.files import processes
from training.runs.run import Run

ODD = "training.tests.executors.odd_networks"

DRIVER = """
import os, sys, time
from pathlib import Path
from training.devices.requests import DeviceRequest
from training.executors.local import LocalExecutor
from training.runs.causes import Cause
from training.runs.run import Run
isolation, gpu, grace_s, *folders = sys.argv[1:]
executor = LocalExecutor(2, DeviceRequest.parse(gpu), isolation, (), grace_s=float(grace_s))
if "OTHER_CHILD" in os.environ and (child := os.fork()):
    Path(os.environ["OTHER_CHILD"]).write_text(str(child))
elif "OTHER_CHILD" in os.environ:
    time.sleep(600)
for job in [executor.submit(Run.open(Path(folder))) for folder in folders]:
    job.wait()
"""

# A convolution's sums are divided among threads: runs with different numbers of them differ.
LENET: dict[str, Any] = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "lenet",
    "train_args": {"batch_size": 32, "epochs": 2},
}


def new_run(**changes: Any) -> Run:
    """A small run that nobody has started."""
    return Run.create(assemble(ExperimentSpec.parse({**LENET, **changes})).spec)


def odd_run(deed: str, file: Path | str = "", **train_args: Any) -> Run:
    """A small run whose network does something before it is built; see odd_networks.Odd."""
    train_args = {"batch_size": 32, "epochs": 1, **train_args}
    return new_run(network=f"{ODD}:Odd", network_args={"deed": deed, "file": str(file)}, train_args=train_args)


def quick_run(deed: str, file: Path | str = "") -> Run:
    """A run that ends before TensorFlow is imported; see odd_networks.Quick."""
    spec = {**LENET, "network": f"{ODD}:Quick", "network_args": {"deed": deed, "file": str(file)}}
    return Run.create(ExperimentSpec.parse(spec))


def long_run(**changes: Any) -> Run:
    """One that writes a checkpoint at every opportunity and ends only when it is asked to."""
    return new_run(train_args={"batch_size": 32, "epochs": 5000, "checkpoint_interval_s": 0}, **changes)


def numbers(run: Run) -> dict[str, Any]:
    """All of a finished run that must not depend on how its process was started."""
    rows = [
        {key: value for key, value in row.items() if key not in ("time", "images_per_s", "input_wait")}
        for row in run.rows()
    ]
    with np.load(run.folder / "checkpoints" / "last.npz") as file:
        arrays = b"".join(file[name].tobytes() for name in file.files if name != "state")
    return {
        "rows": rows,
        "weights": hashlib.sha256(arrays).hexdigest(),
        "predictions": (run.folder / "predictions.jsonl").read_text(),
        "summary": run.status().summary,
    }


def run_experiment(run: Run, python: Path | str = sys.executable, **environ: str) -> None:
    """Takes a run to its end as a person does, in a process of its own."""
    process = subprocess.run(
        [str(python), "-m", "training.run_experiment", "--nowandb", "--gpu=none", f"--resume={run.folder}"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


class Undisturbed:
    """The numbers of a run that nothing happens to, with as many threads as another one had.

    The slots of a machine with an odd number of cores have different ones.

    Args:
        python: that executes it.
    """

    def __init__(self, make: Callable[[], Run], python: Path | str = sys.executable) -> None:
        self._make = make
        self._python = python
        self._numbers: dict[int, dict[str, Any]] = {}

    def like(self, run: Run) -> dict[str, Any]:
        threads = int(run.read_json("environment.json")["threads"])
        if threads not in self._numbers:
            made = self._make()
            (slot,) = {slot.threads: slot for slot in cpu_slots(2) if slot.threads == threads}.values()
            run_experiment(made, self._python, **slot.environ)
            self._numbers[threads] = numbers(made)
        return self._numbers[threads]


def log(run: Run) -> str:
    return (run.folder / "log.txt").read_text()


def process_of(run: Run) -> int:
    """The process of the latest attempt; 0 while there is none."""
    attempts = json.loads((run.folder / "launch.json").read_text())["attempts"]
    return int(attempts[-1]["process"]) if attempts else 0


def children_of(pid: int) -> list[int]:
    return [int(name) for name in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    return not processes.is_running(pid, None)


def wait_for_file(path: Path) -> str:
    """What a file holds, once it holds something."""
    return wait_until(lambda: path.read_text() if path.exists() else "")


def start_driver(isolation, gpu, grace_s, *runs, **environ):
    folders = [str(run.folder) for run in runs]
    trusted = {VARIABLE: ODD, **environ}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, isolation, gpu, str(grace_s), *folders], env={**os.environ, **trusted}
    )


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
