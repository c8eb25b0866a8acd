"""Devices of runs in processes of their own: shared, broken, waited for, and kept while a run lives."""

import contextlib
import os
import signal

import pytest

from text_recognizer.errors import DeviceError, RunError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from text_recognizer.trust import VARIABLE
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.executors.local import LocalExecutor
from training.runs.causes import Cause
from training.tests.devices.simulated_nvml import needs_compiler, simulated_machine
from training.tests.executors.executor_support import (
    ODD,
    is_gone,
    kill,
    log,
    quick_run,
    start_driver,
    wait_for_file,
)


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setenv(VARIABLE, ODD)
    with simulated_machine(monkeypatch) as simulated:
        yield simulated


@needs_compiler
def test_two_executors_share_the_devices_of_a_machine_without_ever_using_one_together(machine, runs, tmp_path):
    machine.with_gpus(2)
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(LocalExecutor(8, isolation="exec")) for _ in range(2)]
        assert [executor.capacity for executor in both] == [2, 2]
        jobs = [executor.submit(quick_run("use_device", tmp_path)) for _ in range(4) for executor in both]
        assert all(job.wait(PATIENCE_S) for job in jobs)
    assert [job.ended.exit_code for job in jobs] == [0] * 8, [job.ended.reason for job in jobs]
    assert {job.place: log(job.run).strip() for job in jobs} == {
        "GPU 0": "used GPU-00000000",
        "GPU 1": "used GPU-00000001",
    }


@needs_compiler
@pytest.mark.parametrize("how", ["raises", "aborts"])
def test_a_device_that_breaks_is_in_quarantine_on_its_machine_before_the_next_run(how, machine, runs):
    machine.with_gpus(2)
    with LocalExecutor(1, isolation="exec") as executor:
        jobs = [executor.submit(quick_run("lose_device", how)) for _ in range(2)]
        assert all(job.wait(PATIENCE_S) for job in jobs)
    assert [job.place for job in jobs] == ["GPU 0", "GPU 1"]
    assert all(job.ended.cause is Cause.BROKEN_DEVICE for job in jobs)
    assert all("in quarantine" in str(status.obstacle) for status in GPUManager().status().devices)


@needs_compiler
def test_without_a_device_that_ever_becomes_free_no_run_fails_and_none_is_taken(machine, runs):
    machine.with_gpus(1)
    GPUManager().quarantine("GPU-00000000", "it fell off the bus")
    with LocalExecutor(1, isolation="exec") as executor:
        jobs = [executor.submit(quick_run("nothing")) for _ in range(2)]
        assert all(job.wait(PATIENCE_S) for job in jobs)
        assert {job.ended.cause for job in jobs} == {Cause.PREEMPTED}
        with pytest.raises(RunError, match="cannot be executed: no device: .*it fell off the bus"):
            executor.submit(jobs[0].run)


@needs_compiler
def test_a_run_that_waits_for_a_device_has_not_started(machine, runs, tmp_path):
    machine.with_gpus(1)
    said: list[str] = []
    with LocalExecutor(isolation="exec", tell=said.append) as executor:
        with GPUManager().lease(DeviceRequest(1), label="mine"):
            job, unwanted = (executor.submit(quick_run("use_device", tmp_path)) for _ in range(2))
            wait_until(lambda: said)
            assert (job.state, job.waiting_for) == ("waiting", said[0])
            assert f"GPU 0 is held by pid {os.getpid()}" in said[0]
            assert "for 'mine'" in said[0]
            unwanted.cancel()
            assert unwanted.wait(PATIENCE_S)
            assert not (job.run.folder / "log.txt").exists()
        assert job.wait(PATIENCE_S)
        assert log(job.run).strip() == "used GPU-00000000"
    with GPUManager().lease(DeviceRequest(1), timeout_s=PATIENCE_S) as free_again:
        assert len(free_again.devices) == 1


@needs_compiler
def test_a_killed_driver_does_not_free_a_device_that_its_run_still_uses(machine, runs, tmp_path):
    machine.with_gpus(1)
    run = quick_run("stay_whatever_comes", tmp_path / "kept")
    driver = start_driver("exec", "any", PATIENCE_S, run, **machine.environ)
    pid, uuid = wait_for_file(tmp_path / "kept").split()
    kill(driver)
    with pytest.raises(DeviceError, match="held by"):
        GPUManager().lease(DeviceRequest(1), timeout_s=0)
    assert not is_gone(int(pid))
    os.kill(int(pid), signal.SIGKILL)
    with GPUManager().lease(DeviceRequest(1), timeout_s=PATIENCE_S) as lease:
        wait_until(lambda: is_gone(int(pid)))  # the kernel closes its files a moment before it counts as gone
        assert [device.uuid for device in lease.devices] == [uuid]
