"""Folders of runs, this project's own and foreign ones."""

import contextlib
import functools
import io
import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from text_recognizer import experiment
from text_recognizer.errors import TextRecognizerError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training import cli, run_experiment
from training.attempts.checkpoint import read_checkpoint
from training.runs.find import find_run
from training.runs.run import Run
from training.tests.fuzzing.base import StillWaitingError, Target, as_json, assembled, written
from training.tests.fuzzing.mutators import Files
from training.tests.fuzzing.specs import SPEC
from training.tracking.base import Facts, Tracker
from training.tracking.mirror import mirror
from training.tracking.wandb.sweep_link import swept_values


def completed() -> dict[str, Any]:
    return assemble(ExperimentSpec.parse(SPEC)).spec.to_json()


def run_files(spec: Mapping[str, Any], fingerprint: str) -> Files:
    """A finished run.

    Args:
        fingerprint: of its data.
    """
    rows = [{"epoch": n, "loss": 1 / n, "val_loss": 1.5 / n, "val_accuracy": 0.3 * n, "time": 1.7e9} for n in (1, 2)]
    read = [{"position": n, "label": str(n), "predicted": "1", "loss": 0.5 * n, "confidence": 0.5} for n in range(4)]
    attempt = {"time": 1.7e9, "process": 1, "host": "h", "command": ["run_experiment"], "folder": "/"}
    summary = {"test_accuracy": 0.5, "val_loss": 0.75}
    status = {"format": 1, "state": "finished", "error": None, "summary": summary, "epoch": 2, "epochs": 2}
    environment = {"text_recognizer": "0.1.0", "code": {}, "devices": ["cpu"], "packages": {"numpy": "2"}}
    values = {
        "spec.json": spec,
        "status.json": status | {"times": {"created": 1.7e9, "started": 1.7e9 + 1, "ended": 1.7e9 + 9}},
        "launch.json": {"attempts": [{**attempt, "wandb": "offline", "devices": ["cpu"]}]},
        "environment.json": environment | {"dataset_fingerprint": fingerprint},
        "evaluation.json": {"metrics": summary, "samples": 4},
        "wandb/mirror.json": {"process": 999_999_999, "state": "done", "mode": "offline"},
        "wandb/synced.json": {"state": "finished", "reports": 2, "url": "http://x", "entity": "e", "project": "p"},
        "wandb/sweep.json": {"id": "s", "project": "p", "entity": "e", "values": {"seed": 1}},
    }
    checkpoint = io.BytesIO()
    np.savez(checkpoint, allow_pickle=False, state=np.frombuffer(b'{"epoch": 2, "step": 4}', np.uint8))
    return {
        **{name: as_json(value) for name, value in values.items()},
        "metrics.jsonl": b"".join(as_json(row) + b"\n" for row in rows),
        "predictions.jsonl": b"".join(as_json(row) + b"\n" for row in read),
        "log.txt": b"epoch 1\nepoch 2\n",
        "test_looks.jsonl": as_json({"time": 1.7e9, "by": "mcp", "why": "the best"}) + b"\n",
        "checkpoints/last.npz": checkpoint.getvalue(),
    }


def runs() -> list[Files]:
    """Two runs of a group, one of which stays as it is."""
    spec = completed()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEXT_RECOGNIZER_DATA"] = folder
        dataset = assemble(ExperimentSpec.parse(spec)).dataset
        dataset.prepare()
    files: Files = {}
    for run, seed in (("damaged", 3), ("healthy", 4)):
        made = run_files({**spec, "seed": seed}, dataset.fingerprint)
        files |= {f"runs/group/{run}/{name}": content for name, content in made.items()}
    at_work = json.loads(files["runs/group/damaged/status.json"]) | {"state": "running"}
    return [files, {**files, "runs/group/damaged/status.json": as_json(at_work)}]


def foreign() -> list[Files]:
    """Runs of MLflow, TensorBoard and W&B, and of a CSV file."""
    from tensorboardX import SummaryWriter
    from wandb.proto import wandb_internal_pb2 as wandb

    def events(folder: Path) -> None:
        with SummaryWriter(str(folder / "first")) as writer:
            writer.add_scalar("loss", 0.5, 1, walltime=1.7e9)

    config = wandb.ConfigRecord(update=[wandb.ConfigItem(key="lr", value_json="0.5")])
    history = wandb.HistoryRecord(item=[wandb.HistoryItem(nested_key=["loss"], value_json="0.25")])
    summary = wandb.SummaryRecord(update=[wandb.SummaryItem(key="best", value_json='{"cer": 0.25}')])
    records = [
        wandb.Record(config=config),
        wandb.Record(history=history),
        wandb.Record(summary=summary),
        wandb.Record(exit=wandb.RunExitRecord()),
    ]
    packed = [one.SerializeToString() for one in records]
    log = b":W&B\xe1\xbe\x00" + b"".join(struct.pack("<IHB", 0, len(one), 1) + one for one in packed)
    about = b"run_name: quick\nstatus: 3\nstart_time: 1700000000000\nend_time: 1700000060500\n"
    mlflow = {"meta.yaml": about, "metrics/loss": b"1700000001000 0.5 0\n1700000002000 0.25 1\n", "params/lr": b"0.1"}
    table = b"run,epoch,loss,optimizer\na,1,0.5,adam\nb,1,0.25,sgd\n"
    return [
        *written(events),
        {"run-abc.wandb": log},
        {f"0/ab/{name}": one for name, one in mlflow.items()},
        {"x.csv": table},
    ]


def told(*argv: str) -> str:
    """What a command prints; errors are raised."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(TextRecognizerError):
        cli._main(list(argv))
    return printed.getvalue()


@functools.cache
def digits_prepared() -> str:
    """A data folder with the digits, made once by each worker."""
    folder = str(Path("digits").absolute())
    os.environ["TEXT_RECOGNIZER_DATA"] = folder
    assembled().dataset.prepare()
    return folder


def _runs(_: Path) -> None:
    listed = json.loads(told("runs", "list", "--format=json"))
    assert "healthy" in [run["id"] for run in listed], "a damaged run hides the others"
    told("runs", "list")
    told("runs", "list", "--format=csv", "--sort=-test_accuracy", "--filter=test_accuracy>=0")
    for name in ("damaged", "last"):
        told("runs", "show", name)
        told("runs", "show", name, "--json")
    told("runs", "compare", "damaged", "healthy")
    swept_values(find_run("damaged"))


def _foreign(folder: Path) -> None:
    from training.runs.imports import import_runs

    found = [path for path in folder.glob("*.csv") if path.is_file()]
    made, _ = import_runs(found[0] if found else folder, "group", folder / "runs")
    for run in made:
        run.rows()
    told("runs", "list")


def _resume(folder: Path) -> None:
    """A run goes on as far as it gets without TensorFlow."""

    def execute(_: object, run: Run, *__: object) -> int:
        run.release()
        read_checkpoint(run.folder / "checkpoints" / "last.npz")
        return 0

    os.environ["TEXT_RECOGNIZER_DATA"] = digits_prepared()
    sys.modules["training.attempts.train_and_evaluate"] = heavy = ModuleType("heavy")
    heavy.train_and_evaluate = execute  # type: ignore[attr-defined]
    run_experiment.run(["--resume", "damaged", "--gpu=none", "--nowandb"])


class _Deaf(Tracker):
    """A tracker that takes everything as JSON, as W&B does."""

    def start(self, run: Run) -> None:
        experiment.assemble(run.spec)
        swept_values(run)

    def log(self, epoch: int, row: Any) -> None:
        json.dumps([epoch, dict(row)])

    def log_predictions(self, epoch: int, rows: Any) -> None:
        for row in rows:
            assert row["image"].ndim == 3

    def finish(self, state: str, summary: Any) -> Facts:
        json.dumps([state, dict(summary)])
        return Facts()


def _mirror(folder: Path) -> None:
    def wait(_: object) -> None:
        raise StillWaitingError("the run is at work")

    time.sleep = wait
    os.environ["TEXT_RECOGNIZER_DATA"] = digits_prepared()
    mirror(Run.open(folder / "runs" / "group" / "damaged"), _Deaf())


TARGETS = (
    Target("runs", runs, _runs, kept="runs/group/healthy/", share=0.2),
    Target("foreign", foreign, _foreign, share=0.5),
    Target("resume", runs, _resume, kept="runs/group/healthy/", share=0.5),
    Target("mirror", runs, _mirror, kept="runs/group/healthy/", share=0.3),
)
