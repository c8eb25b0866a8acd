"""text-recognizer sync against the stand-in of the W&B backend: everything once, in order, whatever interrupts it."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.tests.waiting import PATIENCE_S
from training.cli import main
from training.runs.run import Run
from training.tests.sweeps.sweep_support import SPACE, by_layer_size, run_sweep
from training.tests.wandb.online_support import TO_BEGIN, wait_for_mirrors
from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Program, wandb
from training.tests.warm_commands import Warm
from training.tracking.sync import Sent

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "train_args": {"epochs": 2},
    "experiment_group": "made_offline",
}
SWEEP = """
program: training/run_experiment.py
method: grid
project: offline-first
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.2}}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [8, 16]}
  train_args: {parameters: {epochs: {value: 1}}}
"""


pytestmark = pytest.mark.usefixtures("warm_python")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, digits_prepared: Any, warm: Warm) -> Path:
    """Runs folder with a run and a sweep of two, made without any server."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "sweep_digits.yaml").write_text(SWEEP)
    environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(folder / "runs")}
    commands = ["run_experiment", json.dumps(SPEC)], ["run_sweep", "--jobs=2", "sweep_digits.yaml"]
    for command in commands:
        with tempfile.TemporaryFile("w+") as printed:
            process = warm.start(*command, "--gpu=none", cwd=folder, env=environ, output=printed)
            assert (process.wait(PATIENCE_S), printed.seek(0)) == (0, 0), printed.read()
    wait_for_mirrors(folder / "runs")
    return folder / "runs"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path / "backend") as backend:
        yield backend


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(made, tmp_path / "runs", symlinks=True))


def command(backend: WandbBackend, runs: Path, *arguments: str, python: str = "", **environ: str) -> Program:
    environ = {"TEXT_RECOGNIZER_RUNS": str(runs), "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"} | environ
    return Program(backend, python or sys.executable, "-m", "training.cli", *arguments, environ=environ)


def sync(backend: WandbBackend, runs: Path, *arguments: str, **environ: str) -> str:
    return command(backend, runs, "sync", *arguments, **environ).succeed()


def synced_column(backend: WandbBackend, runs: Path) -> dict[str, str]:
    output = command(backend, runs, "runs", "list", "--columns", "id,synced", "--format", "csv").succeed()
    return dict(line.split(",") for line in output.split()[1:])


def the_run(runs: Path) -> Run:
    (folder,) = [path for path in (runs / "made_offline").iterdir() if path.is_dir()]
    return Run.open(folder)


def assert_complete(backend: WandbBackend, run: Run) -> None:
    """What W&B has is what the folder has, each step once."""
    sent = backend.runs[run.id]
    rows = [{name: value for name, value in row.items() if name != "time"} for row in run.rows()]
    assert [{name: one[name] for name in row} for one, row in zip(sent.history, rows, strict=True)] == rows
    assert [one["_step"] for one in sent.history] == list(range(1, len(rows) + 1))
    assert sent.resent == []
    assert (sent.state, sent.exit_code, sent.group) == ("finished", 0, run.folder.parent.name)
    for name, value in run.status().summary.items():
        assert sent.summary[name] == value
    assert sent.history[-1]["test_predictions"]["nrows"] == 32
    assert [artifact.name for artifact in sent.used_artifacts] == ["DigitsDataset:v0"]
    assert f"model-{run.id}:v0" in backend.artifacts
    assert f"model-{run.id}:v1" not in backend.artifacts


def test_a_run_is_sent_once_and_the_list_says_so(backend, runs):
    run = the_run(runs)
    assert set(synced_column(backend, runs).values()) == {"no"}
    assert backend.requests == []
    output = sync(backend, runs, run.id)
    assert output.startswith(f"sent         {run.id}  {backend.url}/tester/text-recognizer/runs/{run.id}\n1 run sent")
    assert_complete(backend, run)
    # The times are those of the training, the host is the one that trained.
    history = backend.runs[run.id].history[:-1]
    assert [one["_timestamp"] for one in history] == [row["time"] for row in run.rows()[:-1]]
    assert backend.runs[run.id].host == run.read_json("environment.json")["host"]
    seen = len(backend.requests)
    assert "nothing new" in sync(backend, runs, run.id)
    assert "No runs to sync" in wandb(backend, "sync", *run.folder.glob("wandb/offline-run-*"))
    assert len(backend.requests) == seen
    assert synced_column(backend, runs)[run.id] == "yes"
    assert set(synced_column(backend, runs).values()) == {"yes", "no"}
    sync(backend, runs, run.id, "--again")
    assert_complete(backend, run)
    models = {"TEXT_RECOGNIZER_MODELS": str(runs.parent / "models")}
    said = command(backend, runs, "promote", run.id, "--as", "digits", **models).succeed()
    assert f"W&B         tester/text-recognizer/model-{run.id}:digits-1" in said
    assert {"best", "digits-1"} <= set(backend.artifacts[f"model-{run.id}:v0"].aliases)


def test_an_interrupted_sync_goes_on_where_it_was(backend, runs):
    run = the_run(runs)
    backend.faults.kinds, backend.faults.rate = ("500",), 1.0
    # Refused, the kind of an artifact is asked for twenty times before history is sent.
    backend.faults.spared = TO_BEGIN | {request_name(run), "ArtifactType"}
    # Of a Python started for it, nothing lives on when the backend's processes are killed.
    program = command(backend, runs, "sync", run.id, python=f"{sys.prefix}/bin/python")
    # History arrives while all artifacts are refused; then everything is killed at once.
    backend.wait_until(lambda: run.id in backend.runs and backend.runs[run.id].history, program=program)
    backend.kill_processes()
    program.wait(PATIENCE_S)
    assert backend.runs[run.id].state == "running"
    backend.fail_rate = 0
    sync(backend, runs, run.id)
    assert_complete(backend, run)


def request_name(run: Run) -> str:
    return f"/files/tester/text-recognizer/{run.id}/file_stream"


def test_a_sweep_is_sent_in_order_and_registered_with_its_runs_done(backend, runs):
    output = sync(backend, runs, "sweep_digits", "--register")
    ids = [line.split()[1] for line in output.splitlines() if line.startswith("sent")]
    assert [run[-4:] for run in ids] == ["0001", "0002"]  # the trials, which may have begun in the same second
    assert list(backend.runs) == ids
    (sweep,) = backend.sweeps.values()
    assert (sweep.project, [run.id for run in sweep.prior_runs]) == ("offline-first", ids)
    assert "serve it    wandb agent tester/offline-first/sweep001" in output
    # W&B finds the points that are done under the sweep's own names, so nothing is left of the grid.
    assert [run.config["network_args.layer_size"] for run in sweep.prior_runs] == [8, 16]
    assert backend.store.suggest(sweep) is None
    assert json.loads((runs / "sweep_digits" / "wandb.json").read_text())["id"] == "sweep001"
    again = command(backend, runs, "sync", "sweep_digits", "--register")
    text = again.ended()
    assert again.returncode == 2
    assert "registered already. Send runs to it: --attach tester/offline-first/sweep001" in text


@pytest.mark.parametrize(
    ("outcome", "started", "registered"),
    [("failed", True, False), ("skipped", True, False), ("skipped", False, True), ("nothing new", True, True)],
)
def test_a_sweep_is_registered_only_when_wandb_has_all_of_its_runs(
    outcome, started, registered, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    swept, _ = run_sweep(SPACE.format(method="grid"), tmp_path, by_layer_size)
    second = Run.open(swept.trials[2].runs[0].folder)
    second.write_json("launch.json", {"attempts": [{}] if started else []})
    monkeypatch.setattr(
        "training.commands.sync.sync_runs",
        lambda runs, *_: [Sent(run, outcome if run.id == second.id else "sent", "for a reason") for run in runs],
    )
    calls: list[list[str]] = []
    monkeypatch.setattr(
        "training.sweeps.wandb.registration.register", lambda sweep, done: calls.append([run.id for run in done])
    )
    code = main(["sync", "sweep", "--register"])
    if registered:
        others = [trial.runs[0].id for trial in swept.trials.values()]
        assert (code, calls) == (0, [[run for run in others if outcome == "nothing new" or run != second.id]])
    else:
        assert (code, calls) == (2, [])
        assert (
            f"was not registered: W&B does not have 1 run of it and would suggest their points again: {second.id} (for"
            in (capsys.readouterr().err)
        )


def test_runs_of_a_sweep_made_here_can_join_one_that_is_registered(backend, runs):
    (backend.folder / "other.yaml").write_text(SWEEP)
    wandb(backend, "sweep", "other.yaml")
    sync(backend, runs, "sweep_digits", "--attach", "tester/offline-first/sweep001")
    (sweep,) = backend.sweeps.values()
    assert [run.state for run in sweep.runs] == ["finished", "finished"]
    assert {run.project for run in sweep.runs} == {"offline-first"}
    assert backend.store.suggest(sweep) is None
    refused = command(backend, runs, "sync", "sweep_digits", "--attach", "another")
    text = refused.ended()
    assert "is of the W&B sweep tester/offline-first/sweep001 already" in text


def test_all_leaves_out_what_was_not_meant_for_wandb(backend, runs):
    run = the_run(runs)
    launch = run.read_json("launch.json")
    launch["attempts"][-1]["wandb"] = "disabled"
    run.write_json("launch.json", launch)
    (run.folder / "metrics.jsonl").write_bytes(b"\x00")  # nor is it sent to say that it is damaged
    assert "2 runs sent" in sync(backend, runs, "--all")
    assert run.id not in backend.runs
    assert "0 runs sent, 2 there already" in sync(backend, runs, "--all")


def test_the_commands_of_the_documents_send_what_they_say(backend, runs):
    page = (REPOSITORY / "docs" / "howto" / "wandb.md").read_text(encoding="utf-8")
    block = next(part for part in page.split("```") if part.startswith("bash\ntext-recognizer sync"))
    for line in block.splitlines()[1:]:
        program, *arguments = line.split()
        assert program == "text-recognizer"
        output = command(backend, runs, *arguments).succeed()
    assert len(backend.runs) == 3
    assert len(backend.sweeps) == 1
    assert output.count(" yes") == 3  # the list, at last


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        ((), {}, "name runs or sweeps to send, or give --all"),
        (("nosuch",), {}, "there is no run 'nosuch'"),
        (("last", "--register"), {}, "--register takes the name of one sweep"),
        (("last", "--attach", "a//b"), {}, "named ENTITY/PROJECT/ID"),
        (("last",), {"WANDB_API_KEY": ""}, "no W&B key found. Run `wandb login`, or set WANDB_API_KEY"),
        (("last",), {"WANDB_API_KEY": "f" * 40}, "user is not logged in"),
        (("last", "--attach", "nosuch"), {}, "sweep nosuch not found"),
        (
            ("sweep_digits", "--timeout", "3"),
            {"WANDB_BASE_URL": "http://127.0.0.1:9"},
            "did not take all of it within 3 s",
        ),
    ],
)
def test_mistakes_are_told_in_words(arguments, environ, message, backend, runs):
    program = command(backend, runs, "sync", *arguments, **environ)
    output = program.ended()
    assert program.returncode == 2
    assert message in output
    assert "Traceback" not in output
    assert "f" * 40 not in output
