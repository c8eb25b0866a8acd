import os

import pytest

from text_recognizer.errors import DeviceError
from training.devices import cpu_slots as module
from training.devices.cpu_slots import cpu_slots


@pytest.fixture
def cores(monkeypatch):
    """Eight cores without hyper-threads and without a quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(module, "_place_of_core", lambda core: (0, core, core))
    monkeypatch.setattr(module, "_cpu_quota", lambda: None)


@pytest.mark.usefixtures("cores")
def test_cores_are_divided_among_jobs():
    assert [(slot.cores, slot.threads) for slot in cpu_slots(3)] == [((0, 1), 2), ((2, 3, 4), 3), ((5, 6, 7), 3)]


@pytest.mark.usefixtures("cores")
def test_more_jobs_than_cores_get_one_thread_each_and_take_turns():
    slots = cpu_slots(10)
    assert all(slot.threads == 1 and len(slot.cores) == 1 for slot in slots)
    assert {core for slot in slots for core in slot.cores} == set(range(8))


@pytest.mark.usefixtures("cores")
def test_hyper_threads_of_a_core_stay_together(monkeypatch):
    monkeypatch.setattr(module, "_place_of_core", lambda core: (0, core % 4, core))
    assert [slot.cores for slot in cpu_slots(4)] == [(0, 4), (1, 5), (2, 6), (3, 7)]


@pytest.mark.usefixtures("cores")
def test_a_quota_of_processor_time_limits_the_threads(monkeypatch):
    monkeypatch.setattr(module, "_cpu_quota", lambda: 5.0)
    assert [slot.threads for slot in cpu_slots(2)] == [2, 2]
    assert [slot.threads for slot in cpu_slots(8)] == [1] * 8


def test_the_environment_is_what_the_libraries_read():
    slot = module.CpuSlot((0, 1, 2), 3)
    assert slot.environ == {
        "TF_NUM_INTRAOP_THREADS": "3",
        "TF_NUM_INTEROP_THREADS": "2",
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
    }


def test_only_cores_that_this_process_may_use_are_divided():
    assert {core for slot in cpu_slots(2) for core in slot.cores} == os.sched_getaffinity(0)


def test_no_jobs_are_an_error():
    with pytest.raises(DeviceError, match=r"at least 1. Received: 0"):
        cpu_slots(0)


@pytest.mark.parametrize(("content", "quota"), [("150000 100000\n", 1.5), ("max 100000\n", None)])
def test_a_quota_is_read_from_the_unified_hierarchy(tmp_path, content, quota):
    (tmp_path / "cpu.max").write_text(content)
    assert module._cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("content", "quota"), [("200000\n", 2.0), ("-1\n", None)])
def test_a_quota_is_read_from_the_older_hierarchy(tmp_path, content, quota):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(content)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert module._cpu_quota(tmp_path) == quota


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert module._cpu_quota(tmp_path) is None
