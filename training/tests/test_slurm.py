"""Sweeps on a real Slurm: three nodes on this machine, where slurm-wlm is installed and the tests are root's."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.waiting import wait_until
from training.tests.cluster_support import Driver


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = shutil.which("slurmctld", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None or os.geteuid() != 0:
        pytest.skip("needs root and a Slurm to start: apt-get install slurm-wlm")
    folder = tmp_path_factory.mktemp("slurm")
    task = str(REPOSITORY / "tasks" / "test_slurm.sh")
    started = subprocess.run([task, "start", str(folder)], capture_output=True, text=True, check=False)
    try:
        assert started.returncode == 0, started.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", started.stdout.strip())
            wait_until(lambda: commanded("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "3")
            yield folder
            commanded("scancel", "--user=root", "--quiet")
    finally:
        subprocess.run([task, "stop", str(folder)], check=False)


def commanded(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def running_jobs() -> list[str]:
    return commanded("squeue", "-h", "-t", "running", "-o", "%A").split()


def test_a_disturbed_sweep_on_slurm_ends_with_the_leaderboard_of_this_machine(slurm, tmp_path, digits_prepared):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = Driver(tmp_path / "here", "--jobs=2")
    here.finish()
    options = ("--executor=slurm", "--nodes=2", "--slurm=comment=test", "--retries=0")
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 1)
    driver.kill()
    killed, warned = running_jobs()
    commanded("scancel", "--signal=KILL", "--batch", killed)  # the agent alone; its zygote and runs notice
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 3)
    commanded("scancel", "--signal=USR1", "--batch", warned)  # as at a time limit
    output = driver.finish()
    assert driver.table() == here.table()
    assert driver.times_over() == [1] * 6
    assert driver.failures() <= {"preempted"}, output
    wait_until(lambda: not running_jobs())
    assert not list(driver.sweep.glob("agents/driver.*.beat"))
