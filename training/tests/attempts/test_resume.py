"""A run that was killed ends with the numbers of one that never was. Real processes, real signals."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.errors import RunError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.runs.find import find_run
from training.runs.run import Run
from training.tests.pausing_digits import PAUSING, pause
from training.tests.warm_commands import Warm, WarmProcess

Process = subprocess.Popen[bytes] | WarmProcess

SPEC = {
    "dataset": PAUSING,
    "dataset_args": {"subsample_fraction": 0.4},
    "model": "CharacterModel",
    "network": "noisy_net:NoisyNet",
    "train_args": {
        "batch_size": 32,
        "epochs": 8,
        "steps_per_epoch": 9,
        "augmentation": "affine",
        "schedule": "reduce_on_plateau",
        "schedule_args": {"patience": 1, "factor": 0.5, "min_delta": 0.3},
        "early_stopping": {"monitor": "val_accuracy", "patience": 2, "min_delta": 0.1},
        "average_decay": 0.9,
        "checkpoint_interval_s": 0,
    },
}

# Batch normalisation, dropout, and random numbers that name no seed: all the state a resumed run must bring back.
NETWORK = """
from text_recognizer.networks import Network

class NoisyNet(Network):
    def build(self, input_shape, output_shape):
        import keras

        class Noise(keras.layers.Layer):
            def call(self, x, training=False):
                return x + keras.random.normal(keras.ops.shape(x), stddev=0.1) if training else x

        image = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 3)(image)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = Noise()(keras.layers.Flatten()(x))
        x = keras.layers.Dropout(0.2)(x)
        return keras.Model(image, keras.layers.Dense(*output_shape)(x))
"""


class Workplace:
    """A folder to run in, with its own runs."""

    def __init__(self, folder: Path, warm: Warm | None = None) -> None:
        self.folder = folder
        self.warm = warm
        (folder / "noisy_net.py").write_text(NETWORK)
        (folder / "spec.json").write_text(json.dumps(SPEC))

    def start(self, *arguments: str, **environ: str) -> Process:
        arguments = ("--nowandb", "--gpu=none", *arguments)
        env = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(self.folder / "runs"), **environ}
        with open(self.folder / "output.txt", "ab") as output:
            if self.warm is not None:
                return self.warm.start("run_experiment", *arguments, cwd=self.folder, env=env, output=output)
            command = [sys.executable, "-m", "training.run_experiment", *arguments]
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=output, stderr=subprocess.STDOUT)

    def start_and_pause(self, *arguments: str, after: int = 1) -> Process:
        """Starts what does not end by itself, but waits once so many epochs were validated."""
        return self.start(*arguments, **pause(self.folder / "gate", after))

    def run(self) -> Run:
        return find_run("last", self.folder / "runs")

    def rows(self) -> int:
        """Reports so far; 0 while there is no run yet."""
        try:
            return len(self.run().rows())
        except RunError:
            return 0

    def attempts(self) -> int:
        """How often the run was started; 0 while there is none yet."""
        try:
            return len(self.run().read_json("launch.json")["attempts"])
        except RunError:
            return 0

    def has_checkpoint(self) -> bool:
        return any(self.folder.glob("runs/*/*/checkpoints/last.npz"))

    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def wait_for(self, process: Process, condition: Callable[[], bool]) -> None:
        """Until a condition of a process holds, or it has ended."""
        wait_until(lambda: condition() or process.poll() is not None)

    def end_when(self, process: Process, condition: Callable[[], bool], number: signal.Signals) -> int:
        """Sends a signal as soon as a condition holds, and waits; the exit code."""
        self.wait_for(process, condition)
        process.send_signal(number)
        return process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, digits_prepared):
    """In an interpreter of its own, which the others are forks instead of."""
    place = Workplace(tmp_path_factory.mktemp("undisturbed"))
    assert place.start("spec.json").wait(PATIENCE_S) == 0, place.output()
    return place.run()


def facts(run: Run) -> dict[str, object]:
    """Everything about a finished run that must not depend on how often it was started."""
    rows = [
        {key: value for key, value in row.items() if key not in ("time", "images_per_s", "input_wait")}
        for row in run.rows()
    ]
    with np.load(run.folder / "checkpoints" / "last.npz") as file:
        state = json.loads(file["state"].tobytes())
        arrays = b"".join(file[name].tobytes() for name in file.files if name != "state")
    bundle = json.loads((run.folder / "model" / "bundle.json").read_text())
    return {
        "rows": rows,
        "training": hashlib.sha256(arrays).hexdigest(),
        "state": {key: value for key, value in state.items() if key != "seconds_trained"},
        "evaluation": json.loads((run.folder / "evaluation.json").read_text()) | {"times": None},
        "predictions": (run.folder / "predictions.jsonl").read_text(),
        "metrics": bundle["metrics"],
        "summary": run.status().summary,
    }


def test_an_undisturbed_run_leaves_what_this_file_compares(undisturbed):
    rows = undisturbed.rows()
    assert 4 < len(rows) < 9, "early stopping should end this run"
    assert rows[0]["learning_rate"] > rows[-2]["learning_rate"], "the plateau should have reduced the rate"
    log = (undisturbed.folder / "log.txt").read_text()
    assert "epoch 1/8" in log
    assert "95 % interval" in log


def test_killed_again_and_again_it_ends_with_the_same_numbers_bit_for_bit(undisturbed, tmp_path, warm):
    place = Workplace(tmp_path, warm)
    conditions: list[Callable[[], bool]] = [
        place.has_checkpoint,
        lambda: place.attempts() == 2 and place.rows() >= 2,
        lambda: place.attempts() == 3 and place.rows() >= 3,
    ]
    arguments = ["spec.json"]
    for condition in conditions:
        code = place.end_when(place.start_and_pause(*arguments, after=2), condition, signal.SIGKILL)
        assert code == -signal.SIGKILL, place.output()
        assert place.run().status().state == "died"
        arguments = ["--resume", "last"]
    (tmp_path / "gate").unlink()
    # The last one may be over before it is met.
    place.end_when(place.start(*arguments), lambda: any(tmp_path.glob("runs/*/*/model")), signal.SIGKILL)
    assert place.run().status().state in ("died", "finished")
    assert place.start(*arguments).wait(PATIENCE_S) == 0, place.output()
    assert len(list((tmp_path / "runs" / "default").iterdir())) == 1
    assert facts(place.run()) == facts(undisturbed)
    assert place.attempts() >= 4
    assert [one["ended"]["state"] for one in place.run().attempts()[:3]] == ["died"] * 3


@pytest.mark.parametrize(
    ("number", "code", "state", "reason"),
    [
        (signal.SIGTERM, 143, "preempted", "received SIGTERM"),
        (signal.SIGINT, 130, "stopped", "interrupted (Ctrl-C)"),
    ],
)
def test_a_signal_ends_a_run_at_a_checkpoint_and_says_so(number, code, state, reason, undisturbed, tmp_path, warm):
    place = Workplace(tmp_path, warm)
    process = place.start_and_pause("spec.json")
    assert place.end_when(process, lambda: place.rows() > 0, number) == code
    (tmp_path / "gate").unlink()
    status = place.run().status()
    assert (status.state, status.error) == (state, reason)
    assert "checkpoint written" in place.output()
    assert f"run_experiment --resume {place.run().folder}" in place.output()
    assert place.start("--resume", place.run().id).wait(PATIENCE_S) == 0
    assert facts(place.run()) == facts(undisturbed)


def test_a_stop_request_ends_a_run_at_a_checkpoint_and_a_broken_report_keeps_none_from_its_end(
    undisturbed, tmp_path, warm
):
    place = Workplace(tmp_path, warm)
    process = place.start_and_pause("spec.json")
    place.wait_for(process, lambda: place.rows() > 0)
    place.run().request_stop("worse than the others")
    assert process.wait(PATIENCE_S) == 0
    assert (place.run().status().state, place.run().status().error) == ("stopped", "worse than the others")
    with open(place.run().folder / "metrics.jsonl", "ab") as journal:
        journal.write(b"\0\0 damaged\n")
    assert place.start("--resume", place.run().id).wait(PATIENCE_S) == 0  # as a sweep resumes a run that it paused
    assert facts(place.run()) == facts(undisturbed)


def test_changed_data_cannot_be_trained_on_half_way(tmp_path, undisturbed, warm):
    place = Workplace(tmp_path, warm)
    process = place.start_and_pause("spec.json")
    place.end_when(process, place.has_checkpoint, signal.SIGKILL)
    environment = place.run().read_json("environment.json")
    place.run().write_json("environment.json", {**environment, "dataset_fingerprint": "0" * 16})
    assert place.start("--resume", "last").wait(PATIENCE_S) == 2
    assert "the data has changed since" in place.output()
    assert "Traceback" not in place.output()


@pytest.mark.parametrize("fault", ["torn", "no best weights"])
def test_a_damaged_checkpoint_is_named(fault, tmp_path, undisturbed, warm):
    place = Workplace(tmp_path, warm)
    process = place.start_and_pause("spec.json")
    place.end_when(process, lambda: place.rows() > 0, signal.SIGTERM)  # which leaves a checkpoint of the first epoch
    checkpoints = place.run().folder / "checkpoints"
    if fault == "torn":
        (checkpoints / "last.npz").write_bytes((checkpoints / "last.npz").read_bytes()[:1000])
    else:
        next(checkpoints.glob("best-*.npz")).unlink()
    assert place.start("--resume", "last").wait(PATIENCE_S) == 2
    assert ("last.npz" if fault == "torn" else "best-000001.npz") + " cannot be read: " in place.output()
    assert f"To train the run again from its start, remove the folder {checkpoints}." in place.output()
    assert "Traceback" not in place.output()


@pytest.mark.parametrize("what", ["the run's folder", "all runs", "moved away"])
def test_a_run_whose_folder_is_gone_stops_and_says_so(what, tmp_path, digits_prepared, warm):
    place = Workplace(tmp_path, warm)
    process = place.start_and_pause("spec.json")
    place.wait_for(process, (tmp_path / "gate.reached").exists)
    assert process.poll() is None, place.output()
    folder = place.run().folder
    if what == "moved away":
        folder.rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(folder if what == "the run's folder" else tmp_path / "runs")
    folder.mkdir(parents=True)  # as something does that still knows the name
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 2
    assert f"error: the folder {folder} was deleted, moved or replaced while this process" in place.output()
    assert "checkpoint written" not in place.output()
    assert list(folder.iterdir()) == []


def test_a_run_whose_lock_file_is_deleted_is_still_at_work(tmp_path, undisturbed, warm):
    place = Workplace(tmp_path, warm)
    process = place.start_and_pause("spec.json")
    place.wait_for(process, lambda: place.rows() > 0)
    run = place.run()
    (run.folder / "run.lock").unlink()
    assert run.status().state == "running"
    with pytest.raises(RunError, match="is in use by another process"):
        run.hold()
    assert run.status().state == "running"
    (tmp_path / "gate").unlink()
    assert process.wait(PATIENCE_S) == 0
    assert facts(run) == facts(undisturbed)
