"""Sweeps on a real Slurm: three nodes on this machine, where slurm-wlm is installed and the tests are root's."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.waiting import wait_until
from training.executors.cluster.slurm_training import nodes_to_train_on
from training.runs.run import Run
from training.tests.cluster.cluster_support import Driver, SlurmNodes, commanded
from training.tests.devices.simulated_nvml import needs_compiler, simulated_machine
from training.tests.free_addresses import free_addresses


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNodes]:
    found = shutil.which("slurmctld", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None or os.geteuid() != 0:
        pytest.skip("needs root and a Slurm to start: apt-get install slurm-wlm")
    with SlurmNodes(tmp_path_factory.mktemp("slurm")) as nodes:
        yield nodes


LEASE = """
from text_recognizer.errors import DeviceError
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest

with GPUManager().lease(DeviceRequest.parse("any")) as lease:
    print([device.uuid for device in lease.devices])
try:
    GPUManager().lease(DeviceRequest.parse("2x"))
except DeviceError as error:
    print(error)
"""


@needs_compiler
def test_an_experiment_in_a_job_of_its_own_leases_the_gpu_of_the_allocation_and_no_other(slurm, tmp_path, monkeypatch):
    (tmp_path / "lease.py").write_text(LEASE)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with simulated_machine(monkeypatch) as machine:
        monkeypatch.setenv("LD_LIBRARY_PATH", machine.with_gpus(2).environ["LD_LIBRARY_PATH"])
        # Another job has GPU 0, so that this one gets the second.
        holder = commanded("sbatch", "--parsable", "--gres=gpu:1", "-w", "n1", "-o", "/dev/null", "--wrap=sleep 1000")
        wait_until(lambda: holder.strip() in running_jobs())
        said = tmp_path / "said.txt"
        wrapped = f"--wrap={sys.executable} {tmp_path}/lease.py"
        commanded("sbatch", "--wait", "--gres=gpu:1", "-w", "n1", "-o", str(said), wrapped)
        commanded("scancel", holder.strip())
    leased, refused = said.read_text().splitlines()
    assert leased == f"['{machine.gpus[1].uuid}']"
    assert "2 GPUs: not that many are available: 1 device to choose from" in refused
    assert "CUDA_VISIBLE_DEVICES hides 1 more" in refused


IN_A_JOB = """
from training.executors.cluster.slurm_training import nodes_to_train_on

nodes_to_train_on(2, {})(["sh", "-c", "echo job $SLURM_JOB_ID process $SLURM_PROCID of $SLURM_NTASKS"])
"""


def test_a_command_is_executed_on_the_nodes_of_the_job_it_is_given_in(slurm, tmp_path, monkeypatch):
    (tmp_path / "in_a_job.py").write_text(IN_A_JOB)
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    said = tmp_path / "said.txt"
    wrapped = f"--wrap={sys.executable} {tmp_path}/in_a_job.py"
    job = commanded("sbatch", "--parsable", "--wait", "--nodes=2", "-o", str(said), wrapped).strip()
    lines = [line for line in said.read_text().splitlines() if not line.startswith("srun: ")]  # it waits for a step
    assert sorted(lines) == [f"job {job} process {rank} of 2" for rank in (0, 1)]


def test_what_one_process_has_begun_two_nodes_of_a_new_job_go_on_with(
    slurm, tmp_path, monkeypatch, digits_prepared, warm
):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    spec = {"dataset": "DigitsDataset", "dataset_args": {"subsample_fraction": 0.1}, "model": "CharacterModel"}
    short = {"batch_size": 7, "epochs": 1, "steps_per_epoch": 2, "distribution": "multi_worker"}
    text, options = json.dumps({**spec, "network": "mlp", "train_args": short}), ["--nowandb", "--gpu=none"]
    begin = [str(warm.programs / "python"), "-m", "training.run_experiment", text, "--id=two", *options]
    with free_addresses(1) as alone:
        config = json.dumps({"cluster": {"worker": alone}, "task": {"type": "worker", "index": 0}})
        begun = subprocess.run(begin, env={**os.environ, "TF_CONFIG": config}, capture_output=True, text=True)
    assert begun.returncode == 0, begun.stderr
    go_on = [sys.executable, "-m", "training.run_experiment", "--resume=two", "--extend=epochs=2", "--nodes=2"]
    done = subprocess.run([*go_on, *options], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "process 1 of 2" in done.stdout
    assert "devices     2, which share every batch" in done.stdout
    assert "extended    from 1 to 2 epochs" in done.stdout
    assert Run.open(tmp_path / "runs" / "default" / "two").status().state == "finished"


@pytest.mark.parametrize(("hidden", "said"), [("runs", "does not see"), ("here", "has no")])
def test_no_training_starts_where_a_node_does_not_share_the_folders(hidden, said, slurm, tmp_path, monkeypatch):
    here = tmp_path / "here" / "below"
    here.mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    call = "nodes_to_train_on(2, {})(['touch', sys.argv[1]])"
    code = f"import sys\nfrom training.executors.cluster.slurm_training import *\n{call}"
    begin = [sys.executable, "-c", code, str(tmp_path / "trained")]
    with slurm.hidden(tmp_path / hidden, 2):
        refused = subprocess.run(begin, cwd=here, capture_output=True, text=True)
        assert "error: n2: " in refused.stderr
        assert f"error: that node {said} {tmp_path}/{hidden}" in refused.stderr
        assert refused.returncode == 2
    assert not (tmp_path / "trained").exists()
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("nodes", "options", "why"),
    [(4, {}, "node configuration is not available"), (2, {"time": "never"}, "Invalid --time"), (1, {"a": "b"}, "--a")],
)
def test_what_slurm_would_let_wait_forever_or_refuse_is_refused_before_a_job_is_made(slurm, nodes, options, why):
    with pytest.raises(SpecError, match=f"Slurm refuses {nodes} nodes: .*{why}"):
        nodes_to_train_on(nodes, options)


def running_jobs() -> list[str]:
    return commanded("squeue", "-h", "-t", "running", "-o", "%A").split()


def test_a_disturbed_sweep_on_slurm_ends_with_the_leaderboard_of_this_machine(
    slurm, tmp_path, digits_prepared, table_of_this_machine
):
    (tmp_path / "there").mkdir()
    options = ("--executor=slurm", "--nodes=2", "--slurm=comment=test", "--retries=0")
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 1 and len(running_jobs()) == 2)
    driver.kill()
    killed, warned = running_jobs()
    commanded("scancel", "--signal=KILL", "--batch", killed)  # the agent alone; its zygote and runs notice
    driver = Driver(tmp_path / "there", *options, host="login2")
    wait_until(lambda: driver.ends() >= 3)
    commanded("scancel", "--signal=USR1", "--batch", warned)  # as at a time limit
    output = driver.finish()
    assert driver.table() == table_of_this_machine
    assert driver.times_over() == [1] * 6
    assert driver.failures() <= {"preempted"}, output
    wait_until(lambda: not running_jobs())
    assert not list(driver.sweep.glob("agents/driver.*.beat"))
