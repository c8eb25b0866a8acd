"""Nothing leaks: no key in any file or line, only what docs/howto/wandb.md lists is sent; disabled connects nowhere."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from text_recognizer.spec import typed_fields
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.wandb.online_support import (
    REPOSITORY,
    SPEC,
    environ,
    register,
    runs_below,
    wait_for_mirrors,
    warm_path,
)
from training.tests.wandb.wandb_backend import KEY, WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import NO_STATISTICS, Program, WarmProgram
from training.tests.warm_commands import Warm

SWEEP = """
program: training/run_experiment.py
method: grid
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.2}}
  model: {value: CharacterModel}
  network: {value: mlp}
  train_args: {parameters: {epochs: {value: 1}}}
"""
# Files of a run at W&B, and kinds of artifacts: what docs/howto/wandb.md says is sent.
SENT_FILES = re.compile(
    r"config\.yaml|requirements\.txt|wandb-metadata\.json|wandb-summary\.json|media/table/test_predictions_[^/]*"
    r"|media/images/[^/]*\.png"
)
SENT_ARTIFACTS = {"dataset", "model", "run_table"}
STREAMED = {"wandb-history.jsonl", "wandb-summary.json", "wandb-events.jsonl"}
METADATA = {
    "os", "python", "startedAt", "args", "program", "email", "root", "host", "executable", "cpu_count",
    "cpu_count_logical", "disk", "memory", "cpu", "writerId", "gpu", "gpu_count", "gpu_nvidia", "cudaVersion",
    "codePath", "codePathLocal", "git",
}  # fmt: skip
# Stands before everything else that a process imports: a connection to anywhere is an error that ends it.
NO_SOCKETS = """
import os, socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") and not is_local(arguments):
        os.write(2, f"A SOCKET WAS OPENED: {event} {arguments}\\n".encode())
        os._exit(99)
def is_local(arguments):
    return len(arguments) > 1 and isinstance(arguments[1], (str, bytes))  # a socket of this machine's file system
sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def session(
    tmp_path_factory: pytest.TempPathFactory, digits_prepared: Any, warm: Warm
) -> Iterator[tuple[WandbBackend, str]]:
    """A run online, a sweep under an agent, an offline run synced, and refusals; with all that was printed."""
    with running_backend(tmp_path_factory.mktemp("session")) as backend:
        path = register(backend, SWEEP)
        run = ("run_experiment", "--gpu=none", json.dumps(SPEC))
        sync = (str(warm.programs / "text-recognizer"), "sync", "--all")
        printed = []
        for command, more in (
            ((*run, "--wandb=online"), {}),
            (run, {}),
            ((*sync, "--timeout=4"), {"WANDB_BASE_URL": "http://127.0.0.1:9"}),
            (sync, {"WANDB_API_KEY": KEY[:-1] + "8"}),
            (sync, {}),
            (("wandb", "agent", path), warm_path(warm)),
        ):
            if command[0] == "run_experiment":
                program: Program | WarmProgram = WarmProgram(backend, warm, *command, environ=environ(backend) | more)
            else:
                program = Program(backend, *command, environ=environ(backend) | more)
            printed.append(program.ended())
            if command is run:
                wait_for_mirrors(backend.folder / "runs")
        wait_until(lambda: not backend.processes())  # whose files are looked at
        yield backend, "\n".join(printed)


def test_no_key_is_in_any_file_or_line(session):
    backend, printed = session
    assert len(runs_below(backend.folder)) == 3
    assert KEY[:-1] not in printed
    searched = 0
    for path in backend.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and REPOSITORY not in path.resolve().parents:
            searched += 1
            assert KEY[:-1].encode() not in path.read_bytes(), path
    assert searched > 100


def test_only_what_the_readme_lists_is_sent(session):
    backend, _ = session
    assert len(backend.runs) == 3
    for run in backend.runs.values():
        unlisted = [name for name in run.files if not SENT_FILES.fullmatch(name)]
        assert unlisted == []
        assert run.lines.keys() <= STREAMED
        assert {artifact.type for artifact in run.logged_artifacts + run.used_artifacts} == SENT_ARTIFACTS
        assert json.loads(run.files["wandb-metadata.json"]).keys() <= METADATA
        assert run.config.keys() <= {*typed_fields(), "environment"}
    for artifact in backend.artifacts.values():
        if artifact.type == "dataset":
            assert artifact.files == {}  # a reference
        elif artifact.type == "model":
            kept = {path.name for run in runs_below(backend.folder).values() for path in run.folder.glob("model/*")}
            assert artifact.files.keys() <= kept


def test_requests_are_only_those_of_the_table(session):
    """The operations that runs, syncs and agents of this project make: a new one is a new thing that leaves."""
    backend, _ = session
    operations = {request.name for request in backend.requests if request.kind == "graphql"}
    assert operations <= OPERATIONS
    assert operations >= {
        "UpsertBucket",
        "UpsertSweep",
        "CreateAgent",
        "Heartbeat",
        "CreateArtifact",
        "RunResumeStatus",
    }


OPERATIONS = {
    "Viewer", "UpsertBucket", "RunResumeStatus", "OrganizationCoreWeaveOrganizationID", "ServerFeaturesQuery",
    "CreateRunFiles", "ArtifactType", "CreateArtifact", "CreateArtifactManifest", "CreateArtifactFiles",
    "CommitArtifact", "UseArtifact", "UpsertSweep", "SweepWithRuns", "CreateAgent", "Heartbeat",
    "UpdateArtifactManifest", "RunStoppedStatus", "GetDefaultEntity",
}  # fmt: skip


def test_disabled_opens_no_socket(tmp_path, digits_prepared):
    (tmp_path / "sitecustomize.py").write_text(NO_SOCKETS)
    variables: Mapping[str, str] = {
        **os.environ,
        **NO_STATISTICS,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}",
        "TEXT_RECOGNIZER_RUNS": str(tmp_path / "runs"),
        "WANDB_API_KEY": KEY,
    }
    # The guard works: it ends a process that connects.
    guarded = [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"]
    assert subprocess.run(guarded, env=variables, capture_output=True, check=False).returncode == 99
    command = [sys.executable, "-m", "training.run_experiment", "--gpu=none", json.dumps(SPEC), "--wandb=disabled"]
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A SOCKET WAS OPENED" not in done.stderr
    (run,) = runs_below(tmp_path).values()
    assert not (run.folder / "wandb").exists()
