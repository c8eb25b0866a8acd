"""What a driver asks of Slurm, and what it makes of the answers; programs that a test wrote stand for Slurm's."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from text_recognizer.errors import RunError, SpecError
from training.executors.base import Setting
from training.executors.cluster import slurm
from training.executors.cluster.slurm import SlurmCluster, SlurmExecutor, Task, partitions


def test_slurm_that_refuses_another_agent_is_asked_again_ever_more_rarely(tmp_path, monkeypatch, capsys):
    bin_folder, now = tmp_path / "bin", [0.0]
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name, does in {
        "squeue": "exit 0",
        "sbatch": f"echo x >> {tmp_path}/asked\n"
        f"[ -e {tmp_path}/free ] || {{ echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1; }}",
    }.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (bin_folder / name).chmod(0o755)
    cluster = SlurmCluster(Setting(folder=tmp_path), 1, [])
    cluster.begin()
    asked_at = []
    for second in range(200):
        now[0] = float(second)
        before = (tmp_path / "asked").stat().st_size if second else 0
        cluster.keep_up()
        if (tmp_path / "asked").stat().st_size > before:
            asked_at.append(second)
    assert asked_at == [0, 4, 12, 28, 60, 120, 180]
    assert "QOSMaxSubmitJobPerUserLimit" in cluster.waiting_for()
    assert capsys.readouterr().err.count("Trying again") == 1
    (tmp_path / "free").touch()
    now[0] = 240.0
    cluster.keep_up()
    assert cluster.waiting_for() == "waiting for an agent to start"


def test_why_a_job_waits_is_said_once_slurm_knows_it(tmp_path):
    cluster = SlurmCluster(Setting(folder=tmp_path), 1, [])
    for reason, text in {"None": "", "Resources": " (Resources)"}.items():
        cluster._tasks = {"1": Task("1", "PENDING", "", reason)}
        assert cluster.waiting_for() == f"waiting for Slurm: 1 job pending{text}"


def test_agents_that_failed_under_an_earlier_driver_do_not_end_the_next(tmp_path, monkeypatch):
    tasks = {str(job): Task(str(job), "NODE_FAIL", "n1", "") for job in range(5)}
    monkeypatch.setattr(SlurmCluster, "tasks", lambda _: tasks)
    monkeypatch.setattr(slurm, "exit_code", lambda _: 1)
    monkeypatch.setattr(SlurmCluster, "submit", lambda *_: None)
    clock = [0.0]
    monkeypatch.setattr(slurm, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    cluster = SlurmCluster(Setting(folder=tmp_path), 1, [])
    cluster.begin()
    cluster.keep_up()
    tasks |= {str(job): Task(str(job), "FAILED", "n1", "") for job in range(5, 7)}
    clock[0] = 20.0
    cluster.keep_up()
    tasks["7"] = Task("7", "FAILED", "n1", "")
    clock[0] = 40.0
    with pytest.raises(RunError, match="the agent on the node n1 ended before it was ready: it printed nothing"):
        cluster.keep_up()


def test_a_driver_starts_while_slurm_refuses_agents_where_earlier_ones_are_at_work(tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise SpecError("Slurm refuses the agents: Requested node configuration is not available.")

    tasks = {"1": Task("1", "RUNNING", "n1", ""), "2": Task("2", "NODE_FAIL", "n2", "")}
    monkeypatch.setattr(SlurmCluster, "tasks", lambda _: tasks)
    monkeypatch.setattr(SlurmCluster, "submit", refuse)
    cluster = SlurmCluster(Setting(folder=tmp_path), 2, [])
    cluster.check()
    tasks["1"] = Task("1", "COMPLETED", "n1", "")
    with pytest.raises(SpecError, match="not available"):
        cluster.check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"partition": "main"}, "--nodes 9: Slurm has 2 nodes here, an agent gets a whole one."),
        ({"partition": "main,more"}, "--nodes 9: Slurm has 3 nodes here, an agent gets a whole one."),
        ({"options": {"cpus-per-task": 1}}, ""),  # agents may share a node
    ],
)
def test_more_agents_than_slurm_has_nodes_is_said_before_they_are_submitted(
    options, said, tmp_path, monkeypatch, capsys
):
    for name, does in {
        "sinfo": "echo 'main|n1|gpu:2'; echo 'main|n2|'; echo 'more|n3|'",
        "sbatch": "",
        "squeue": "",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    SlurmExecutor.open(Setting(folder=tmp_path), nodes=9, **options)
    assert capsys.readouterr().err.partition(" The other")[0].strip() == said


def test_what_slurm_says_where_it_is_not_set_up_becomes_one_sentence(tmp_path, monkeypatch):
    said = ["error: fetch_config: DNS SRV lookup failed", "fatal: Could not establish a configuration source"]
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\n" + "".join(f"echo 'sinfo: {line}' >&2\n" for line in said) + "exit 1\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SpecError) as refused:
        partitions()
    assert str(refused.value) == "Slurm does not answer: fetch_config: DNS SRV lookup failed."
