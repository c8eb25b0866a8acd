"""The stand-in of the W&B backend fails as asked, refuses what it must, leaves nothing behind; runs are sent later."""

import base64
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.tests.waiting import PATIENCE_S
from training.runs.find import find_run
from training.tests.wandb.online_support import wait_for_mirrors, without_empty_mappings
from training.tests.wandb.wandb_backend import KEY, WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Program, WarmProgram, run_script, script, wandb

REPOSITORY = Path(__file__).resolve().parents[3]


def post(
    backend: WandbBackend, query: str, variables: dict[str, Any] | None = None, key: str = KEY, path: str = "/graphql"
) -> Any:
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    authorization = "Basic " + base64.b64encode(f"api:{key}".encode()).decode()
    request = urllib.request.Request(f"{backend.url}{path}", body, {"Authorization": authorization})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        return json.load(reply)["data"]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


def test_with_three_in_ten_requests_failing_everything_arrives(backend):
    backend.fail_rate = 0.3
    run_script(
        backend,
        """
run = wandb.init(project="p", id="r")
for value in range(100):
    run.log({"x": value})
model = wandb.Artifact("model", type="model")
with model.new_file("weights.txt") as file:
    file.write("weights")
run.log_artifact(model)
run.finish()
""",
    )
    assert backend.runs["r"].values("x") == list(range(100))
    assert [row["_step"] for row in backend.runs["r"].history] == list(range(100))
    assert (backend.runs["r"].state, backend.runs["r"].exit_code) == ("finished", 0)
    assert "config.yaml" in backend.runs["r"].files
    assert backend.artifacts["model:v0"].files == {"weights.txt": b"weights"}
    assert {request.fault for request in backend.requests} - {None}


def test_a_run_outlives_a_backend_that_goes_and_comes_back(backend):
    text = """
run = wandb.init(project="p", id="r")
run.log({"x": 0})
print("started", flush=True); sys.stdin.readline()
for value in (1, 2, 3):
    run.log({"x": value})
print("logged", flush=True); sys.stdin.readline()
run.finish()
"""
    program = Program(backend, sys.executable, script(backend, text))
    program.wait_for("started")
    backend.vanish()
    with pytest.raises(urllib.error.URLError, match="refused"):
        post(backend, "query Viewer { viewer { entity } }")
    program.tell()
    program.wait_for("logged")
    backend.return_()
    program.tell()
    program.succeed()
    assert backend.runs["r"].values("x") == [0, 1, 2, 3]
    assert backend.runs["r"].state == "finished"


def test_failures_on_demand_are_of_the_kinds_asked_for(backend):
    backend.fail_rate = 1
    query = 'mutation Make { upsertBucket(input: {name: "r", modelName: "p"}) { inserted } }'
    for kind in ("500", "429"):
        backend.faults.kinds = (kind,)
        with pytest.raises(urllib.error.HTTPError, match=kind):
            post(backend, query)
    for kind, runs in (("reset", 0), ("lost", 1)):
        backend.faults.kinds = (kind,)
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            post(backend, query)
        assert len(backend.runs) == runs
    backend.faults.spared = {"Make"}
    assert post(backend, query) == {"upsertBucket": {"inserted": False}}
    assert [request.fault for request in backend.requests] == ["500", "429", "reset", "lost", None]
    assert [request.status for request in backend.requests] == [500, 429, 0, 0, 200]


def test_a_slow_backend_takes_its_time(backend):
    backend.delay_s = 0.3
    started = time.monotonic()
    post(backend, "query Viewer { viewer { entity } }")
    assert time.monotonic() - started >= 0.3


def test_what_is_not_understood_fails_loudly(tmp_path):
    failed = pytest.raises(pytest.fail.Exception, match="did not understand:\n(.|\n)*nosuch")
    with failed, running_backend(tmp_path) as backend:
        post(backend, 'mutation { upsertBucket(input: {name: "r", modelName: "p"}) { inserted } }')
        filtered = 'query Filtered($f: JSONString) { project(name: "p") { runs(filters: $f) { totalCount } } }'
        assert post(backend, filtered, {"f": '{"state": "running"}'}) == {"project": {"runs": {"totalCount": 1}}}
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(backend, "query Strange { viewer { nosuch } }")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(backend, filtered, {"f": '{"nosuch": 1}'})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(backend, "query Elsewhere { viewer { id } }", path="/elsewhere")
        assert [problem.partition(":")[0] for problem in backend.unknown] == ["Strange", "Filtered", "POST /elsewhere"]
        assert backend.operations == ["anonymous", "Filtered"]


def test_a_wrong_key_or_signature_is_refused(backend):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        post(backend, "query Viewer { viewer { entity } }", key="f" * 40)
    for path in ("/artifactsV2/default/tester/p/a/b/c/d", "/elsewhere"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(backend.url + path, timeout=PATIENCE_S)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{backend.url}/storage/run/a/b?signature=guessed", timeout=PATIENCE_S)
    with pytest.raises(TimeoutError, match="the last requests were: Viewer 401, "):
        backend.wait_until(lambda: False, timeout_s=0.01)


def test_waiting_for_a_program_that_has_ended_ends_at_once_with_what_it_printed(backend):
    program = Program(backend, sys.executable, "-c", "import sys; print('no such data'); sys.exit(2)")
    with pytest.raises(AssertionError, match="too early, with 2. It printed:\nno such data"):
        backend.wait_until(lambda: False, program=program)
    with pytest.raises(AssertionError, match="too early, with 2. It printed:\nno such data"):
        program.until(lambda: False)
    backend.wait_until(lambda: True, program=program)  # what it did before it ended counts
    assert program.until(lambda: 3) == 3


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
def test_no_process_outlives_the_backend(tmp_path):
    with WandbBackend(tmp_path) as backend:
        text = "wandb.init(project='p', id='r')\nprint('started', flush=True)\ntime.sleep(600)\n"
        program = Program(backend, sys.executable, script(backend, text))
        program.wait_for("started")
        assert len(backend.processes()) >= 2  # the script and W&B's own
    assert backend.processes() == []
    assert program.wait(PATIENCE_S) == -signal.SIGKILL


SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "train_args": {"epochs": 2},
    "experiment_group": "synced",
}


def test_an_offline_run_of_an_experiment_is_synced_once(backend, digits_prepared, warm):
    environ = {"TEXT_RECOGNIZER_RUNS": str(backend.folder / "runs"), "PYTHONPATH": str(REPOSITORY)}
    WarmProgram(backend, warm, "run_experiment", "--gpu=none", json.dumps(SPEC), environ=environ).succeed()
    assert backend.requests == []
    run = find_run("last", backend.folder / "runs")
    wait_for_mirrors(backend.folder / "runs")
    (folder,) = (run.folder / "wandb").glob("offline-run-*")
    backend.fail_rate = 0.3
    assert "Finished syncing" in wandb(backend, "sync", folder)
    backend.fail_rate = 0
    sent = backend.runs[run.id]
    assert (sent.state, sent.exit_code, sent.group, sent.project) == ("finished", 0, "synced", "text-recognizer")
    config = {name: value for name, value in sent.config.items() if name != "environment"}
    assert config == without_empty_mappings(run.spec.to_json())
    rows = [{name: value for name, value in row.items() if name != "time"} for row in run.rows()]
    assert [{name: sent_row[name] for name in row} for sent_row, row in zip(sent.history, rows, strict=True)] == rows
    assert sent.history[-1]["test_predictions"]["nrows"] == 32
    for name, value in run.status().summary.items():
        assert sent.summary[name] == value
    assert [artifact.name for artifact in sent.used_artifacts] == ["DigitsDataset:v0"]
    assert {artifact.type for artifact in sent.logged_artifacts} == {"model", "run_table"}
    assert "best" in backend.artifacts[f"model-{run.id}:v0"].aliases
    assert (folder / f"run-{run.id}.wandb.synced").exists()

    seen = len(backend.requests)
    assert "No runs to sync" in wandb(backend, "sync", folder)
    assert len(backend.requests) == seen


def test_a_refused_sync_is_no_failure_for_the_command_line_but_leaves_the_run_unmarked(backend):
    text = "run = wandb.init(mode='offline')\nrun.finish()\nprint(run.settings.sync_dir)"
    output = run_script(backend, text, WANDB_SWEEP_ID="nosuch01")
    folder = Path(output.split()[-1])
    assert "ERROR sweep nosuch01 not found" in wandb(backend, "sync", folder)
    assert not list(folder.glob("*.synced"))
    assert backend.runs == {}
