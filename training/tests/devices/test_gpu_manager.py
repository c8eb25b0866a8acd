import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from text_recognizer.errors import DeviceError
from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.devices.gpu_manager import Lease
from training.files import lock_files
from training.tests.devices.forked import Child
from training.tests.devices.lease_stories import holding, lease, numbers
from training.tests.devices.simulated_nvml import (
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


def test_a_lease_shows_its_devices_and_nothing_else_to_the_program(machine):
    machine.with_gpus(3)
    with lease("2,0", label="a run") as held:
        assert numbers(held) == [2, 0]
        path = held.environ["TEXT_RECOGNIZER_LEASE"]
        assert held.environ == {
            "CUDA_VISIBLE_DEVICES": "GPU-00000002,GPU-00000000",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TEXT_RECOGNIZER_LEASE": path,
            "TEXT_RECOGNIZER_GPU_MEMORY_MIB": "",
        }
        assert lock_files.is_locked(machine.locks / path)
    assert list(machine.locks.glob("*.lease")) == []


def test_any_device_is_a_free_one(machine):
    machine.with_gpus(3)
    with lease("0"), lease("any") as second, lease("-1") as third:
        assert (numbers(second), numbers(third)) == ([1], [2])
        with pytest.raises(DeviceError, match="no devices within"):
            lease("any")


def test_several_devices_are_had_together_or_not_at_all(machine):
    machine.with_gpus(3)
    with lease("0") as first:
        with lease("2x") as two:
            assert numbers(two) == [1, 2]
        with pytest.raises(DeviceError, match="Wanted GPU 0 and GPU 1"):
            lease("0,1")
        first.release()
        with lease("0,1") as two:
            assert numbers(two) == [0, 1]


def test_a_release_happens_once(machine):
    machine.with_gpus(1)
    first = lease()
    first.release()
    with lease() as second:
        first.release()
        assert second.fds
        with pytest.raises(DeviceError, match="no devices"):
            lease()


def test_threads_of_one_process_never_get_the_same_device(machine):
    machine.with_gpus(2)
    held: set[int] = set()
    twice: list[int] = []
    had: list[int] = []

    def work():
        for _ in range(10):
            with lease(timeout_s=PATIENCE_S) as mine:
                twice.extend(held & {*numbers(mine)})
                held.update(numbers(mine))
                had.extend(numbers(mine))
                held.difference_update(numbers(mine))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (twice, len(had)) == ([], 60)


def test_a_killed_holders_device_is_free_within_a_second(machine):
    machine.with_gpus(1)
    waits_s = []
    for _ in range(5):  # the best counts: others may keep this process from looking
        with holding() as child:
            child.send(signal.SIGKILL)
            killed_at = time.monotonic()
            with lease(timeout_s=PATIENCE_S):
                waits_s.append(time.monotonic() - killed_at)
    assert min(waits_s) < 1.0


def test_a_child_that_inherited_the_lease_keeps_it_when_its_parent_dies(machine):
    machine.with_gpus(1)

    def parent(line):
        held = lease()
        sleeper = subprocess.Popen(["sleep", "3600"], pass_fds=held.fds, env=os.environ | held.environ)
        line.tell(str(sleeper.pid))
        line.hear()

    with Child(parent) as child:
        sleeper = int(child.hear())
        child.kill()
        try:
            with pytest.raises(DeviceError, match=f"held by a child of pid {child.pid}"):
                lease()
        finally:
            os.kill(sleeper, signal.SIGKILL)
        with lease(timeout_s=PATIENCE_S) as mine:
            assert numbers(mine) == [0]


def test_a_release_by_the_parent_leaves_the_lease_to_its_child(machine, sleeper):
    machine.with_gpus(1)
    held = lease()
    child = sleeper(pass_fds=held.fds)
    held.release()
    with pytest.raises(DeviceError, match="held by"):
        lease()
    child.kill()
    lease(timeout_s=PATIENCE_S).release()


def test_a_child_that_inherited_nothing_keeps_nothing(machine, sleeper):
    machine.with_gpus(1)
    held = lease()
    sleeper()
    held.release()
    lease().release()


def test_a_child_finds_the_lease_it_inherited_when_its_parent_is_dead(machine):
    machine.with_gpus(1)
    answer = machine.folder / "answer"
    program = f"""
import os, pathlib, time
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    time.sleep(0.01)
from training.devices.gpu_manager import Lease
found = Lease.inherited()
pathlib.Path({str(answer)!r}).write_text(f"{{found and found.devices[0].uuid}}")
"""

    def parent(line):
        held = lease()
        environ = os.environ | machine.environ | held.environ
        command = [sys.executable, "-c", program]
        child = subprocess.Popen(command, pass_fds=held.fds, env=environ, cwd=REPOSITORY, stdout=subprocess.PIPE)
        assert child.stdout is not None
        line.tell(str(child.stdout.readline()))
        line.hear()

    with Child(parent) as child:
        child.hear()
        child.kill()
    wait_until(lambda: answer.exists() and answer.read_text())
    assert answer.read_text() == "GPU-00000000"


def test_a_process_started_under_a_lease_finds_it(machine):
    machine.with_gpus(2)
    with lease("1", "6GiB") as held:
        found = Lease.inherited(held.environ)
        assert found is not None
        assert (found.devices, found.memory_mib, found.environ) == (held.devices, (6_144,), held.environ)
        found.release()
        assert Lease.inherited(held.environ) is not None
    with holding("0"):
        assert [str(path) for path in machine.locks.glob("*.lease")] == [held.environ["TEXT_RECOGNIZER_LEASE"]]
        assert Lease.inherited(held.environ) is None  # the name is another's now
    assert Lease.inherited(held.environ) is None
    assert Lease.inherited({}) is None
    assert Lease.inherited({"TEXT_RECOGNIZER_LEASE": str(machine.folder / "gone" / "000000000001.lease")}) is None
    assert not (machine.folder / "gone").exists()
    assert Lease.inherited(lease("none").environ) is None


def test_a_gpu_is_shared_by_memory(machine):
    machine.with_gpus(2, memory_mib=10_000)
    with lease("-1", "6000MiB") as first, lease("-1", "4000MiB") as second, lease("-1", "1MiB") as third:
        assert [numbers(held) for held in (first, second, third)] == [[0], [0], [1]]
        assert first.environ["TEXT_RECOGNIZER_GPU_MEMORY_MIB"] == "6000"
        with pytest.raises(DeviceError, match=r"GPU 0 is shared \(6,000 MiB\) by pid .*, shared \(4,000 MiB\) by"):
            lease("0")
        first.release()
        with pytest.raises(DeviceError, match="free, but not enough|shared"):
            lease("0", "0.7")
        with lease("0", "0.6") as fourth:
            assert fourth.memory_mib == (6_000,)


def test_the_shares_of_killed_processes_are_free(machine):
    machine.with_gpus(1, memory_mib=10_000)
    with holding("0", "0.8") as child:
        child.kill()
        lease("0", "0.8", timeout_s=PATIENCE_S).release()


def test_a_device_for_one_process_is_not_shared(machine):
    machine.with_gpus(1, compute_mode=3)
    with pytest.raises(DeviceError, match="compute mode is 'exclusive process'"):
        lease("-1", "1GiB", timeout_s=None)
    lease("-1").release()


def test_asking_for_the_cpu_loads_nothing_of_it_all():
    program = (
        "import sys; from training.devices.gpu_manager import GPUManager;"
        "from training.devices.requests import DeviceRequest;"
        "print(GPUManager().lease(DeviceRequest.parse('none')).environ['CUDA_VISIBLE_DEVICES'],"
        "[name for name in ('pynvml', 'tensorflow', 'keras', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "-1 []\n"
