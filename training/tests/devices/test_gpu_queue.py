import os
import re
import signal

import pytest

from text_recognizer.errors import DeviceError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.devices import queue as device_queue
from training.devices.lease_folder import LeaseFolder
from training.files import processes
from training.tests.devices.forked import Child
from training.tests.devices.lease_stories import holder, holding, lease, numbers, waiting
from training.tests.devices.simulated_nvml import (
    needs_compiler,
    simulated_machine,
)

pytestmark = needs_compiler


@pytest.fixture
def machine(monkeypatch):
    with simulated_machine(monkeypatch) as simulated:
        yield simulated


def test_a_waiting_process_says_what_it_waits_for_and_who_holds_it(machine):
    machine.with_gpus(2)
    machine.use(1, pid=os.getpid())
    with holding("0", label="mlp-7") as child, Child(lambda line: lease("0,1", None, False, 0.3, line.tell)) as waiter:
        told = [waiter.hear(), waiter.hear()]
    assert told[0].startswith(f"waiting for GPU 0 and GPU 1: GPU 0 is held by pid {child.pid} (")
    assert "for 'mlp-7'; GPU 1 is used without a lease by pid" in told[0]
    assert told[0].endswith("(--gpu-force takes it anyway)")
    assert re.match(r"DeviceError: no devices within [\d.]+ s. Wanted GPU 0 and GPU 1: GPU 0 is held by pid", told[1])


def test_a_waiting_process_repeats_itself_only_when_something_changes(machine):
    machine.with_gpus(1)
    told: list[str] = []
    with lease(), pytest.raises(DeviceError, match="no devices"):
        lease(timeout_s=0.5, on_wait=told.append)
    assert len(told) == 1


def test_a_large_request_is_not_starved_by_small_ones(machine):
    machine.with_gpus(2)
    with holding("0") as small, Child(holder("2x")) as large:
        wait_until(lambda: [entry.wanted for entry in waiting()] == ["2 GPUs"])
        with pytest.raises(DeviceError, match=r"1 GPU \(1 request ahead\).*kept for an earlier one"):
            lease("any")
        small.tell("release")
        assert large.hear() == "has [0, 1]"


def test_a_dead_waiters_place_counts_for_nothing(machine):
    machine.with_gpus(2)
    with holding("0"), Child(holder("2x")) as large:
        wait_until(waiting)
        large.kill()
        with lease("any") as mine:
            assert numbers(mine) == [1]
    assert list(machine.locks.glob("*.waiting")) == []


def test_a_waiter_who_can_only_use_another_device_is_passed(machine):
    machine.with_gpus(2)
    with holding("0") as first, Child(holder("0")) as second:
        wait_until(waiting)
        with lease("any") as mine:
            assert numbers(mine) == [1]
        first.tell("release")
        assert second.hear() == "has [0]"


def test_a_request_that_waits_for_a_program_without_a_lease_keeps_nothing_from_the_others(machine, monkeypatch):
    monkeypatch.setattr(device_queue, "_VERDICT_LIFE_S", 0.0)
    machine.with_gpus(2).use(0, pid=1)
    with holding("1") as before, Child(holder("2x")):
        wait_until(waiting)
        with Child(holder("any")) as later:
            wait_until(lambda: len(waiting()) == 2)
            before.tell("release")
            assert later.hear() == "has [1]"


def is_suspended_with_all_threads(pid: int) -> bool:
    """A thread that waits for the mutex may still get it after the main thread was stopped."""
    return all(processes.is_suspended(int(thread)) for thread in os.listdir(f"/proc/{pid}/task"))


def test_a_suspended_waiter_keeps_its_place_but_nothing_from_the_others(machine):
    machine.with_gpus(2)
    with holding("0") as small, Child(holder("2x")) as large:
        wait_until(waiting)
        with LeaseFolder(machine.locks).decision():  # not in the middle of one of its own
            large.send(signal.SIGSTOP)
            wait_until(lambda: is_suspended_with_all_threads(large.pid))
        with lease("any") as mine:
            assert numbers(mine) == [1]
        large.send(signal.SIGCONT)
        small.tell("release")
        assert large.hear() == "has [0, 1]"


def test_first_come_first_served(machine):
    machine.with_gpus(1)
    with holding() as before, Child(holder()) as first:
        wait_until(lambda: len(waiting()) == 1)
        with Child(holder()) as second:
            wait_until(lambda: len(waiting()) == 2)
            before.tell("release")
            assert first.hear() == "has [0]"
            assert [entry.pid for entry in waiting()] == [second.pid]
            first.tell("release")
            assert second.hear() == "has [0]"


def test_an_interrupted_waiter_leaves_the_queue(machine):
    machine.with_gpus(1)

    def interrupted(_):
        raise KeyboardInterrupt

    with lease():
        with pytest.raises(KeyboardInterrupt):
            lease(timeout_s=PATIENCE_S, on_wait=interrupted)
        assert waiting() == []


def test_a_suspended_process_in_the_middle_of_a_decision_is_named(machine):
    machine.with_gpus(1)

    def story(line):
        with LeaseFolder(machine.locks).decision():
            line.tell("in it")
            os.kill(os.getpid(), signal.SIGSTOP)

    with Child(story) as child:
        child.hear()
        wait_until(lambda: processes.is_suspended(child.pid))
        told: list[str] = []
        with pytest.raises(DeviceError, match=f"is locked by pid {child.pid} .*suspended. Resume or end it"):
            lease(timeout_s=4, on_wait=told.append)
        assert f"which pid {child.pid}" in told[0]
        child.send(signal.SIGCONT)
        lease(timeout_s=PATIENCE_S).release()
