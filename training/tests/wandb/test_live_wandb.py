"""One run at the real W&B, for those who ask for it: WANDB_LIVE_PROJECT=ENTITY/PROJECT and a key."""

import json
import os
import subprocess
import sys

import pytest

from training.runs.find import find_run
from training.tests.wandb.online_support import SPEC

PROJECT = os.environ.get("WANDB_LIVE_PROJECT", "")
# The account of whoever runs the tests, which is hidden from all the other ones.
ACCOUNT = {name: value for name, value in os.environ.items() if name.startswith("WANDB_") or name in ("HOME", "NETRC")}


@pytest.mark.skipif("/" not in PROJECT, reason="only with WANDB_LIVE_PROJECT=ENTITY/PROJECT, and a key")
def test_a_run_arrives_at_wandb(tmp_path, monkeypatch, digits_prepared):
    entity, project = PROJECT.split("/")
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(tmp_path), "WANDB_ENTITY": entity, "WANDB_PROJECT": project}
    command = [sys.executable, "-m", "training.run_experiment", "--gpu=none", "--wandb=offline", json.dumps(SPEC)]
    for words in (command, [sys.executable, "-m", "training.cli", "sync", "last"]):
        done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    import wandb

    run = find_run("last", tmp_path)
    sent = wandb.Api().run(f"{PROJECT}/{run.id}")
    assert sent.state == "finished"
    assert [row["loss"] for row in sent.scan_history(keys=["loss"])] == [row["loss"] for row in run.rows()[:-1]]
    assert {artifact.type for artifact in sent.logged_artifacts()} == {"model", "run_table"}
    sent.delete(delete_artifacts=True)
