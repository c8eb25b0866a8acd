import os
import signal
import subprocess

import pytest

from text_recognizer.errors import DeviceError
from text_recognizer.tests.waiting import wait_until
from training.devices.gpu_manager import GPUManager
from training.files import processes
from training.tests.devices.forked import Child
from training.tests.devices.lease_stories import holder, holding, lease, numbers, waiting
from training.tests.devices.simulated_nvml import (
    GPU_IS_LOST,
    NO_PERMISSION,
    NOT_SUPPORTED,
    UNKNOWN,
    VERSION_MISMATCH,
    Gpu,
    MigInstance,
    needs_compiler,
    simulated_machine,
)

pytestmark = needs_compiler


@pytest.fixture
def machine(monkeypatch):
    with simulated_machine(monkeypatch) as simulated:
        yield simulated


@pytest.fixture
def sleeper():
    """Starts programs that do nothing and know nothing of leases."""
    started = []

    def start(**options):
        started.append(subprocess.Popen(["sleep", "3600"], **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_gpu_that_another_program_uses_is_not_taken_unless_forced(machine, sleeper):
    other = sleeper()
    machine.with_gpus(2).use(0, other.pid)
    with lease() as mine:
        assert numbers(mine) == [1]
    told: list[str] = []
    with pytest.raises(DeviceError, match="no devices within"):
        lease("0", timeout_s=0.1, on_wait=told.append)
    assert f"GPU 0 is used without a lease by pid {other.pid} (" in told[0]
    assert "sleep 3600) (--gpu-force takes it anyway)" in told[0]
    lease("0", force=True).release()


def test_a_program_that_ends_frees_its_gpu_for_the_waiting(machine):
    machine.with_gpus(1).use(0, pid=1)
    with Child(holder()) as child:
        wait_until(waiting)
        machine.processes.clear()
        machine.write()
        assert child.hear() == "has [0]"


def test_mps_clients_count_as_programs(machine):
    machine.with_gpus(1).use(0, pid=1, kind="mps")
    with pytest.raises(DeviceError, match="used without a lease by pid 1 "):
        lease()


def test_programs_under_a_lease_do_not_keep_others_from_sharing(machine, sleeper):
    machine.with_gpus(1, memory_mib=10_000)
    with lease("0", "4000MiB"):
        machine.use(0, sleeper().pid)
        lease("0", "4000MiB").release()


def test_an_orphan_that_inherited_a_lease_does_not_keep_others_from_sharing(machine):
    machine.with_gpus(1, memory_mib=10_000)

    def parent(line):
        held = lease("0", "4000MiB")
        line.tell(str(subprocess.Popen(["sleep", "3600"], pass_fds=held.fds).pid))
        line.hear()

    with Child(parent) as child:
        orphan = int(child.hear())
        child.kill()
    try:
        machine.use(0, orphan)
        lease("0", "4000MiB").release()
        with pytest.raises(DeviceError, match="4,000 MiB"):
            lease("0", "6001MiB")
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_lease_on_one_gpu_does_not_cover_a_program_on_another(machine):
    machine.with_gpus(2)
    with holding("0") as child:
        machine.use(1, child.pid)
        with pytest.raises(DeviceError, match=f"GPU 1 is used without a lease by pid {child.pid}"):
            lease("1")


def test_foreign_memory_is_not_shared_out_even_when_forced(machine):
    machine.with_gpus(1, memory_mib=10_000).use(0, pid=1, memory_mib=3_000)
    lease("0", "7000MiB", force=True).release()
    with pytest.raises(DeviceError, match="no devices within"):
        lease("0", "7001MiB", force=True)


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION])
def test_a_gpu_whose_processes_nvml_never_lists_is_refused_at_once_unless_forced(machine, code):
    machine.with_gpus(1).fail("nvmlDeviceGetComputeRunningProcesses_v3", code)
    with pytest.raises(DeviceError, match=r"cannot lease .*: GPU 0 is in unknown use: NVML does not list.*--gpu-force"):
        lease(timeout_s=None)
    lease(force=True).release()


def test_a_gpu_whose_processes_nvml_does_not_list_at_the_moment_is_waited_for(machine):
    machine.with_gpus(1).fail("nvmlDeviceGetComputeRunningProcesses_v3", UNKNOWN)
    with Child(holder()) as child:
        wait_until(waiting)
        machine.failures.clear()
        machine.write()
        assert child.hear() == "has [0]"


def test_a_container_judges_by_the_memory_in_use(machine, monkeypatch):
    monkeypatch.setattr(processes, "sees_all_processes", lambda: False)
    machine.with_gpus(2, memory_mib=10_000)
    machine.gpus[0].used_mib = 500
    machine.gpus[1].used_mib = 5
    machine.write()
    with lease() as mine:
        assert numbers(mine) == [1]
    with pytest.raises(DeviceError, match=r"not visible from this container \(500 MiB\).*--gpu-force"):
        lease("0")
    lease("0", force=True).release()
    with lease("1", "4000MiB"):
        machine.gpus[1].used_mib = 4_000  # explained by the share
        machine.write()
        lease("1", "4000MiB").release()
        machine.gpus[1].used_mib = 4_200
        machine.write()
        with pytest.raises(DeviceError, match=r"\(200 MiB\)"):
            lease("1", "4000MiB")


def test_a_container_that_cannot_see_the_memory_either_is_refused(machine, monkeypatch):
    monkeypatch.setattr(processes, "sees_all_processes", lambda: False)
    machine.with_gpus(1)
    machine.fail("nvmlDeviceGetMemoryInfo_v2", NOT_SUPPORTED)
    with pytest.raises(DeviceError, match="a container hides processes, and NVML does not report the memory in use"):
        lease(timeout_s=None)


def test_memory_is_told_by_older_drivers_too(machine):
    machine.with_gpus(1, memory_mib=10_000).fail("nvmlDeviceGetMemoryInfo_v2", 13)
    with lease() as held:
        assert held.devices[0].memory_mib == 10_500  # what the driver keeps cannot be told apart


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"ecc_errors": 2}, "2 uncorrectable memory"),
        ({"remap_pending": 1}, "waits for remapping"),
        ({"remap_failed": 1}, "remapping a broken memory row failed"),
        ({"retired_pending": 1}, "wait for retirement"),
    ],
)
def test_a_broken_gpu_is_quarantined_and_the_others_are_used(machine, broken, reason):
    machine.gpus = [Gpu("GPU-bad", **broken), Gpu("GPU-good")]
    machine.write()
    with lease() as held:
        assert numbers(held) == [1]
    machine.gpus[0] = Gpu("GPU-bad")
    machine.write()
    with pytest.raises(DeviceError, match=f"GPU 0 is in quarantine: .*{reason}.*gpus --clear-quarantine GPU-bad"):
        lease("0", force=True, timeout_s=None)
    GPUManager().clear_quarantine("GPU-bad")
    lease("0").release()


def test_a_lost_gpu_is_quarantined(machine):
    machine.with_gpus(2).fail("nvmlDeviceGetComputeRunningProcesses_v3", GPU_IS_LOST, "GPU-00000000")
    with pytest.raises(DeviceError, match=r"cannot lease 2 GPUs: GPU 0 is in quarantine: it fell off the bus"):
        lease("2x", timeout_s=None)
    assert [path.name for path in machine.locks.glob("*.quarantine")] == ["GPU-00000000.quarantine"]


def test_a_gpu_too_far_gone_to_be_named_keeps_its_number_but_is_not_given_out(machine):
    machine.with_gpus(2).fail("nvmlDeviceGetHandleByIndex_v2", GPU_IS_LOST, "GPU-00000000")
    with lease("1") as held:
        assert held.environ["CUDA_VISIBLE_DEVICES"] == "GPU-00000001"
        with pytest.raises(DeviceError, match="GPU 0 is broken: it fell off the bus"):
            lease("0", timeout_s=None)
    assert list(machine.locks.glob("*.quarantine")) == []


def test_a_gpu_that_breaks_while_it_is_waited_for_ends_the_waiting(machine):
    machine.with_gpus(1)
    with holding() as first, Child(lambda line: lease(timeout_s=None, on_wait=line.tell)) as second:
        assert second.hear().startswith("waiting for 1 GPU: GPU 0 is held")
        machine.gpus[0].ecc_errors = 1
        machine.write()
        first.tell("release")
        assert ": GPU 0 is in quarantine: 1 uncorrectable" in second.hear()


def test_a_gpu_closed_by_its_compute_mode_is_refused(machine):
    machine.with_gpus(1, compute_mode=2)
    with pytest.raises(DeviceError, match="its compute mode is 'prohibited'"):
        lease(timeout_s=None)


def test_what_is_not_in_quarantine_cannot_be_cleared(machine):
    machine.with_gpus(1)
    GPUManager().quarantine("GPU-00000000", "CUDA_ERROR_ECC_UNCORRECTABLE in run mlp-7")
    with pytest.raises(DeviceError, match="GPU-1 is not in quarantine. In quarantine: GPU-00000000"):
        GPUManager().clear_quarantine("GPU-1")


@pytest.mark.parametrize("gpu", ["-1", "1"])
def test_without_a_gpu_a_lease_is_on_the_cpu_and_says_so(machine, gpu):
    with lease(gpu) as held:
        assert held.devices == ()
        assert held.environ == {
            "CUDA_VISIBLE_DEVICES": "-1",
            "TEXT_RECOGNIZER_LEASE": "",
            "TEXT_RECOGNIZER_GPU_MEMORY_MIB": "",
        }
        assert held.notices == ("no GPU on this machine: running on the CPU",)
    assert not machine.locks.exists()


@pytest.mark.parametrize(("gpu", "memory"), [("2x", None), ("0,1", None), ("-1", "1GiB"), ("GPU-1", None)])
def test_without_a_gpu_what_the_cpu_cannot_stand_for_is_an_error(machine, gpu, memory):
    with pytest.raises(DeviceError, match=r"no GPU on this machine \(NVML counts 0 GPUs\). Use --gpu=none"):
        lease(gpu, memory)


def test_without_a_driver_there_is_no_gpu(machine):
    machine.state_file.unlink()
    assert lease("-1").notices == ("no GPU on this machine: running on the CPU",)
    assert GPUManager().status().absence == "the NVIDIA driver is not loaded"


def test_a_driver_that_does_not_work_is_an_error_and_not_a_machine_without_gpus(machine):
    machine.with_gpus(1).fail("nvmlInit", VERSION_MISMATCH)
    with pytest.raises(DeviceError, match=r"NVML does not work: .*restart the machine.*--gpu=none"):
        lease("-1")
    assert lease("none").notices == ()


def test_an_impossible_request_is_an_error_at_once(machine):
    machine.with_gpus(2)
    with pytest.raises(DeviceError, match="3 GPUs: not that many are available"):
        lease("3x", timeout_s=None)


def test_numbers_are_those_of_the_visible_devices(machine, monkeypatch):
    machine.with_gpus(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    with lease("0") as held:
        assert numbers(held) == [2]
        with lease("any") as other:
            assert numbers(other) == [1]
    with pytest.raises(DeviceError, match="there is no GPU 2. .*CUDA_VISIBLE_DEVICES hides 1 more"):
        lease("2")


def test_hidden_gpus_leave_the_cpu_unless_one_was_named(machine, monkeypatch):
    machine.with_gpus(1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    notice = "CUDA_VISIBLE_DEVICES=-1 hides all GPUs of this machine: running on the CPU"
    assert lease("any").notices == (notice,)
    with pytest.raises(DeviceError, match="cannot lease GPU 0: CUDA_VISIBLE_DEVICES=-1 hides all GPUs"):
        lease("0")


def test_mig_instances_are_devices_of_their_own(machine):
    machine.gpus = [Gpu("GPU-whole"), Gpu("GPU-divided", mig=1)]
    machine.instances = [MigInstance("GPU-divided", "MIG-1"), MigInstance("GPU-divided", "MIG-2")]
    machine.write()
    with lease("1") as first, lease("MIG-2") as second, lease("any") as third:
        assert [held.environ["CUDA_VISIBLE_DEVICES"] for held in (first, second, third)] == [
            "MIG-1",
            "MIG-2",
            "GPU-whole",
        ]
        assert first.devices[0].parent == "GPU-divided"
        with pytest.raises(DeviceError, match="GPU 1 is held by"):
            lease("1")
    with pytest.raises(DeviceError, match="GPU-divided is divided into MIG instances"):
        lease("GPU-divided")


def test_a_broken_gpus_instances_are_not_given_out(machine):
    machine.gpus = [Gpu("GPU-divided", mig=1, ecc_errors=1)]
    machine.instances = [MigInstance("GPU-divided", "MIG-1")]
    machine.write()
    with pytest.raises(DeviceError, match="GPU 0 is in quarantine"):
        lease(timeout_s=None)


def test_a_gpu_that_does_not_tell_whether_it_is_divided_is_not_given_out(machine):
    machine.with_gpus(1).fail("nvmlDeviceGetMigMode", UNKNOWN)
    with pytest.raises(DeviceError, match="broken: NVML does not tell whether it is divided"):
        lease(timeout_s=None)
