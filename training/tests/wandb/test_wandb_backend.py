"""The stand-in of the W&B backend satisfies the real wandb client, its command line and its agent."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Program, run_script, script


def steps(backend: WandbBackend, run_id: str) -> list[int]:
    return [row["_step"] for row in backend.runs[run_id].history]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


def test_a_run_arrives_exactly(backend):
    output = run_script(
        backend,
        """
run = wandb.init(project="p", id="abc", name="first", group="g", job_type="train", tags=["a", "b"], notes="n",
                 config={"lr": 0.1, "net": {"units": 8}, "none": None})
for step in (1, 2, 5):
    run.log({"loss": 1 / step, "nan": float("nan"), "text": "é"}, step=step)
run.summary["best"] = 0.2
print("a line of output")
run.finish()
""",
    )
    assert "/tester/p/runs/abc" in output
    (run,) = backend.runs.values()
    assert (run.entity, run.project, run.id, run.display_name) == ("tester", "p", "abc", "first")
    assert (run.group, run.job_type, run.tags, run.notes) == ("g", "train", ["a", "b"], "n")
    assert run.config == {"lr": 0.1, "net": {"units": 8}, "none": None}
    assert steps(backend, "abc") == [1, 2, 5]
    assert run.values("loss") == [1, 0.5, 0.2]
    assert run.values("text") == ["é"] * 3
    assert all(value != value for value in run.values("nan"))
    assert run.summary["best"] == 0.2
    assert run.output.endswith("a line of output")
    assert {"config.yaml", "requirements.txt", "wandb-metadata.json", "wandb-summary.json"} <= run.files.keys()
    assert (run.state, run.exit_code, run.resent) == ("finished", 0, [])
    assert backend.operations[0] == "Viewer"
    assert "UpsertBucket" in backend.operations
    assert all(request.has_key == (request.kind != "upload") for request in backend.requests)


def test_the_exit_code_tells_how_a_run_ended(backend):
    program = Program(backend, sys.executable, script(backend, "wandb.init(project='p', id='bad')\nsys.exit(3)"))
    program.ended()
    assert program.returncode == 3
    assert (backend.runs["bad"].state, backend.runs["bad"].exit_code) == ("failed", 3)


def test_tables_artifacts_and_their_lineage_arrive(backend):
    run_script(
        backend,
        """
import numpy as np
run = wandb.init(project="p", id="maker")
table = wandb.Table(columns=["image", "label"])
for label in (0, 1):
    table.add_data(wandb.Image(np.full((4, 5), 200 * label, np.uint8)), str(label))
run.log({"samples": table})
data = wandb.Artifact("digits", type="dataset", metadata={"rows": 2})
data.add_reference("file:///etc/hostname", checksum=False)
run.use_artifact(data)
for cer in (0.5, 0.1):
    model = wandb.Artifact("model", type="model", metadata={"cer": cer})
    with model.new_file("weights.txt") as file:
        file.write(f"weights {cer}")
    run.log_artifact(model, aliases=["best"] if cer < 0.3 else []).wait()
run.finish()
""",
    )
    maker = backend.runs["maker"]
    assert backend.artifacts.keys() == {"run-maker-samples:v0", "digits:v0", "model:v0", "model:v1"}
    table = backend.artifacts["run-maker-samples:v0"]
    images = [path for path in table.files if path.endswith(".png")]
    assert len(images) == 2
    assert all(table.files[path].startswith(b"\x89PNG") for path in images)
    assert [row[1] for row in json.loads(table.files["samples.table.json"])["data"]] == ["0", "1"]
    assert maker.values("samples")[0]["nrows"] == 2
    data = backend.artifacts["digits:v0"]
    assert (data.files, data.entries["hostname"]["ref"]) == ({}, "file:///etc/hostname")
    assert (data.used_by, maker.used_artifacts) == ([maker], [data])
    first, second = backend.artifacts["model:v0"], backend.artifacts["model:v1"]
    assert (first.aliases, set(second.aliases)) == ([], {"best", "latest"})
    assert (second.metadata, second.files) == ({"cer": 0.1}, {"weights.txt": b"weights 0.1"})
    assert {artifact.name for artifact in maker.logged_artifacts} == {"run-maker-samples:v0", "model:v0", "model:v1"}

    # Another run finds them by name, and the same content is no new version.
    output = run_script(
        backend,
        """
run = wandb.init(project="p", id="user")
found = run.use_artifact("model:best")
print("entry", open(found.get_entry("weights.txt").download(skip_cache=True)).read())
print("found", found.version, found.metadata["cer"], open(found.download() + "/weights.txt").read(), found.type)
print("made by", found.logged_by().id)
again = wandb.Artifact("model", type="model")
with again.new_file("weights.txt") as file:
    file.write("weights 0.5")
print("again", run.log_artifact(again, aliases=["kept"]).wait().version)
try:
    run.use_artifact("model:nosuch")
except Exception as error:
    print("error", error)
run.finish()
""",
    )
    assert "found v1 0.1 weights 0.1 model" in output
    assert "entry weights 0.1" in output
    assert "made by maker" in output
    assert "again v0" in output
    assert "error artifact membership 'model:nosuch' not found" in output
    assert second.used_by == [backend.runs["user"]]
    assert set(first.aliases) == {"kept", "latest"}
    assert len(backend.artifacts) == 4


def test_the_public_interface_reads_and_changes_artifacts(backend):
    backend.store.features.add("MARK_RUN_FILES_UPLOADED")
    output = run_script(
        backend,
        """
import json
wandb.Api().create_project("p", "tester")
run = wandb.init(project="p", id="maker")
table = wandb.Table(columns=["x"], data=[[1]])
for name in ("first", "second"):  # the second refers to the first by the id that its client gave it
    holder = wandb.Artifact(name, type="holder")
    holder.add(table, "table")
    run.log_artifact(holder)
run.log({"x": 1})
print("to the console")
run.finish()

api = wandb.Api()
found = api.artifact("tester/p/first:latest")
found.aliases.append("good")
found.description, found.metadata, found.tags = "described", {"cer": 0.5}, ["seen"]
found.save()
run = api.run("tester/p/maker")
run.use_artifact(found)
open("extra.txt", "w").write("extra")
run.upload_file("extra.txt")
run.stop()
print("JSON", json.dumps({
    "versions": [item.name for item in api.artifacts("holder", "tester/p/first")],
    "types": [kind.name for kind in api.artifact_types("tester/p")],
    "logged": sorted(item.name for item in run.logged_artifacts()),
    "used": [item.name for item in run.used_artifacts()],
    "used by": [user.id for user in api.artifact("tester/p/first:good").used_by()],
    "console": [line.content for line in run.console_logs()],
    "tail": [line.content for line in run.console_logs(last=1)],
    "projects": [project.name for project in api.projects("tester")],
}))
found.aliases.remove("good")
found.save()
""",
    )
    answers = json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[4:])
    assert answers["versions"] == answers["used"] == ["first:v0"]
    assert answers["logged"] == ["first:v0", "second:v0"]
    assert (answers["types"], answers["used by"], answers["projects"]) == (["holder"], ["maker"], ["p"])
    assert answers["console"][-1].endswith("to the console")
    assert answers["tail"] == answers["console"][-1:]
    first, second = backend.artifacts["first:v0"], backend.artifacts["second:v0"]
    assert (first.aliases, first.description, first.metadata) == (["latest"], "described", {"cer": 0.5})
    assert first.tags == ["seen"]
    (reference,) = (entry["ref"] for entry in second.entries.values() if "ref" in entry)
    assert reference.startswith("wandb-artifact://")
    assert backend.runs["maker"].files["extra.txt"] == b"extra"
    assert backend.runs["maker"].stop_requested


RESUMED = """
run = wandb.init(project="p", id="r", resume={resume!r}, config={{"attempt": {attempt}}})
print("from", run.starting_step)
for value in range(3):
    run.log({{"x": {attempt} * 10 + value}})
run.finish()
"""


def test_a_resumed_run_goes_on_without_a_step_twice(backend):
    assert "from 0" in run_script(backend, RESUMED.format(resume="allow", attempt=1))
    assert "from 3" in run_script(backend, RESUMED.format(resume="must", attempt=2))
    assert steps(backend, "r") == [0, 1, 2, 3, 4, 5]
    assert backend.runs["r"].values("x") == [10, 11, 12, 20, 21, 22]
    assert backend.runs["r"].config == {"attempt": 2}
    assert backend.runs["r"].resent == []
    assert backend.operations.count("RunResumeStatus") == 2


def test_without_resume_a_run_with_a_known_id_appends_steps_twice(backend):
    run_script(backend, RESUMED.format(resume=None, attempt=1))
    assert "from 0" in run_script(backend, RESUMED.format(resume=None, attempt=2))
    assert steps(backend, "r") == [0, 1, 2, 0, 1, 2]


def test_a_run_stopped_in_the_browser_may_end_in_its_own_way(backend):
    text = """
asked = []
run = wandb.init(project="p", id="r", settings=wandb.Settings(stop_fn=lambda: asked.append(True)))
while not asked:
    run.log({"x": 1}); time.sleep(0.02)
run.summary["ended"] = "gracefully"
run.finish()
"""
    program = Program(backend, sys.executable, script(backend, text))
    backend.wait_until(lambda: "r" in backend.runs and backend.runs["r"].history, program=program)
    backend.stop("r")
    program.succeed()
    assert (backend.runs["r"].state, backend.runs["r"].summary["ended"]) == ("finished", "gracefully")
