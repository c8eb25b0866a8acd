"""Runs in processes of their own: the same numbers as ever, and whatever happens to a process is told as it is."""

import contextlib
import functools
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from text_recognizer.errors import DeviceError, RunError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.attempts.causes import EXIT_OUT_OF_MEMORY
from training.devices.cpu_slots import cpu_slots
from training.devices.requests import DeviceRequest
from training.executors.base import Job, first_ended
from training.executors.in_process import InProcessExecutor
from training.executors.local import LocalExecutor
from training.executors.zygote import endings
from training.executors.zygote.order import Order
from training.runs.causes import Cause
from training.runs.run import Run
from training.tests.executors.executor_support import (
    ODD,
    Undisturbed,
    is_gone,
    log,
    long_run,
    new_run,
    numbers,
    odd_run,
    process_of,
    quick_run,
    run_experiment,
    wait_for_file,
)
from training.tests.pausing_digits import PAUSING, pause

CPU = DeviceRequest(0)


@pytest.fixture(scope="module")
def executor(runs):
    """Two at a time, as forks."""
    said: list[str] = []
    with LocalExecutor(2, CPU, preload=[ODD], tell=said.append) as two_at_a_time:
        assert two_at_a_time.wait_until_ready(PATIENCE_S)
        assert two_at_a_time._dispatcher.isolation == "fork", said
        yield two_at_a_time
    assert said == []


@pytest.fixture(scope="module")
def plain(runs):
    """Runs of run_experiment."""
    return Undisturbed(new_run)


def test_forked_runs_two_at_a_time_have_the_numbers_of_a_fresh_interpreter_bit_for_bit(executor, plain):
    jobs = [executor.submit(new_run()) for _ in range(3)]
    assert all(job.wait(PATIENCE_S) for job in jobs)
    assert [job.ended.reason for job in jobs] == ["finished"] * 3
    assert {job.place for job in jobs} == {
        f"CPU {cores}" for slot in cpu_slots(2) for cores in [",".join(map(str, slot.cores))]
    }
    assert all(numbers(job.run) == plain.like(job.run) for job in jobs)


def test_executed_runs_have_the_same_numbers_too(runs, plain):
    with LocalExecutor(2, CPU, isolation="exec") as executor:
        job = executor.submit(new_run())
        assert job.wait(PATIENCE_S)
        assert executor._dispatcher.isolation == "exec"
    assert job.ended.exit_code == 0, log(job.run)
    assert numbers(job.run) == plain.like(job.run)


def test_what_a_run_used_is_reported(executor):
    job = executor.submit(odd_run("nothing"))
    assert job.wait(PATIENCE_S)
    ended = job.ended
    assert (ended.exit_code, ended.signal, ended.out_of_memory) == (0, None, False)
    assert 0.1 < ended.cpu_s < ended.wall_s * max(2, len(os.sched_getaffinity(0)))
    assert 50 < ended.peak_memory_mib < 4000


def test_a_run_has_a_process_a_session_cores_threads_and_the_drivers_surroundings(
    executor, tmp_path, monkeypatch, runs
):
    monkeypatch.setenv("SETTING_OF_THE_DRIVER", "as it is now")
    monkeypatch.chdir(tmp_path)
    job = executor.submit(odd_run("tell", tmp_path / "facts.json"), sweep="s1", trial=7)
    assert job.wait(PATIENCE_S)
    facts = json.loads((tmp_path / "facts.json").read_text())
    slot = next(slot for slot in cpu_slots(2) if sorted(slot.cores) == facts["cores"])
    assert facts["threads"] == str(slot.threads)
    assert facts["setting"] == "as it is now"
    assert facts["folder"] == str(tmp_path)
    assert facts["session"] == facts["pid"] != os.getpid()
    assert facts["parent"] not in (1, os.getpid())
    assert not any("socket:" in name for name in facts["descriptors"]), "a run holds the channel of its zygote"
    (launched,) = job.run.read_json("launch.json")["attempts"]
    assert (launched["sweep"], launched["trial"], launched["command"]) == ("s1", 7, sys.argv)
    assert "epoch 1/1" in log(job.run)
    assert job.run.read_json("environment.json")["threads"] == slot.threads


def test_a_crash_is_reported_with_its_signal_and_leaves_a_traceback_in_the_log(executor):
    job = executor.submit(odd_run("crash"))
    assert job.wait(PATIENCE_S)
    assert (job.ended.exit_code, job.ended.signal) == (None, signal.SIGSEGV)
    assert job.ended.reason == "ended by SIGSEGV"
    assert "about to crash" in log(job.run)
    assert "in crash" in log(job.run), "faulthandler names the function"
    assert job.run.status().state == "died"


def test_exit_codes_are_reported_and_errors_in_words(executor):
    refused = executor.submit(new_run(train_args={"batch_size": 5000}))
    left = executor.submit(odd_run("leave"))
    assert refused.wait(PATIENCE_S)
    assert left.wait(PATIENCE_S)
    assert refused.ended.exit_code == 2
    assert "batch_size must be at most 216" in refused.ended.reason
    assert (left.ended.exit_code, left.ended.cause) == (7, None), "what it prints decides nothing"


def test_a_run_that_somebody_holds_is_refused_in_words(executor):
    held = new_run()
    held.hold()
    job = executor.submit(held)
    assert job.wait(PATIENCE_S)
    held.release()
    assert job.ended.exit_code == 2
    assert f"is in use by process {os.getpid()}" in job.ended.reason
    assert job.ended.cause is Cause.REFUSED


def test_killing_a_job_kills_its_whole_session(executor, tmp_path):
    job = executor.submit(odd_run("start_processes_and_stay", tmp_path / "pids"))
    plain, grouped, apart = map(int, wait_for_file(tmp_path / "pids").split())
    job.cancel(kill=True)
    assert job.wait(PATIENCE_S)
    assert (job.ended.signal, job.ended.reason, job.ended.out_of_memory) == (signal.SIGKILL, "killed on request", False)
    assert is_gone(plain)
    assert is_gone(grouped)
    assert not is_gone(apart), "what made a session of its own, like a W&B mirror, is not the run's"
    os.kill(apart, signal.SIGKILL)


def test_what_a_run_leaves_behind_is_ended_with_it(executor, tmp_path):
    job = executor.submit(odd_run("start_processes", tmp_path / "pids"))
    assert job.wait(PATIENCE_S)
    plain, grouped, apart = map(int, wait_for_file(tmp_path / "pids").split())
    assert (is_gone(plain), is_gone(grouped), is_gone(apart)) == (True, True, False)
    os.kill(apart, signal.SIGKILL)


def test_a_cancelled_job_stops_at_a_checkpoint_and_a_waiting_one_at_once(executor):
    running = [executor.submit(long_run()) for _ in range(2)]
    waiting = executor.submit(new_run())
    wait_until(lambda: all(job.run.rows() for job in running))
    assert ([job.state for job in running], waiting.state) == (["running", "running"], "waiting")
    waiting.cancel(reason="not wanted any more")
    assert waiting.wait(PATIENCE_S)
    assert waiting.ended.reason == "not wanted any more, before it started"
    assert waiting.run.status().state == "created"
    for job in running:
        job.cancel(reason="worse than the others")
    assert len(first_ended(running, PATIENCE_S)) > 0
    for job in running:
        assert job.wait(PATIENCE_S)
        assert (job.ended.exit_code, job.ended.reason) == (0, "stopped: worse than the others")
        assert (job.run.folder / "checkpoints" / "last.npz").exists()


def test_a_run_whose_folder_is_gone_cannot_be_asked_to_stop_and_the_executor_goes_on(runs):
    said: list[str] = []
    with LocalExecutor(1, CPU, isolation="exec", tell=said.append) as executor:
        job = Job(new_run(), lambda *_: None)
        shutil.rmtree(job.run.folder)
        executor._dispatcher.cancel(job, False, "not wanted any more", Cause.ASKED)
    assert said[0].startswith(f"cannot ask {job.run.id} to stop: cannot write {job.run.folder / 'stop_request'}")


def test_a_job_cancelled_before_its_process_looks_is_stopped_all_the_same(executor):
    job = executor.submit(long_run())
    wait_until(lambda: job.state == "running")
    job.cancel()
    assert job.wait(PATIENCE_S)
    assert job.ended.reason == "stopped: cancelled"


def test_a_killed_run_ends_with_the_same_numbers_also_where_there_are_more_cores(
    executor, plain, tmp_path, monkeypatch, warm
):
    for name, value in pause(tmp_path / "gate").items():
        monkeypatch.setenv(name, value)
    killed = executor.submit(new_run(dataset=PAUSING))
    wait_until(killed.run.rows)
    os.kill(process_of(killed.run), signal.SIGKILL)
    assert killed.wait(PATIENCE_S)
    assert (killed.ended.signal, killed.ended.reason) == (signal.SIGKILL, "ended by SIGKILL")
    assert killed.run.status().state == "died"
    (tmp_path / "gate").unlink()
    run_experiment(killed.run, warm.programs / "python")
    assert numbers(killed.run) == plain.like(killed.run)
    assert len(killed.run.read_json("launch.json")["attempts"]) == 2


def test_too_little_memory_is_recognised_in_the_runs_own_words(executor):
    too_much, aborted = executor.submit(odd_run("ask_for_too_much")), executor.submit(odd_run("abort_for_memory"))
    assert too_much.wait(PATIENCE_S)
    assert too_much.ended.exit_code == EXIT_OUT_OF_MEMORY
    assert too_much.ended.out_of_memory
    assert "failed: OutOfMemoryError: out of memory: MemoryError. Lower train_args" in too_much.ended.reason
    assert "Traceback" not in log(too_much.run)
    assert aborted.wait(PATIENCE_S)
    assert (aborted.ended.signal, aborted.ended.out_of_memory) == (signal.SIGABRT, True)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("E0000 cuda_driver.cc:152] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device", None),
        ("InternalError: cudaSetDevice: CUDA_ERROR_NO_DEVICE: no CUDA-capable device", Cause.BROKEN_DEVICE),
        ("InternalError: failed call to cuInit: CUDA_ERROR_ECC_UNCORRECTABLE", Cause.BROKEN_DEVICE),
    ],
)
def test_a_run_on_the_cpu_of_a_machine_with_gpus_does_not_crash_for_a_broken_device(said, cause, tmp_path):
    (tmp_path / "log.txt").write_text(f"{said}\nKeyError: 3\n")
    numbers_of_it = dict.fromkeys(("wall_s", "cpu_s", "peak_memory_mib"), 1.0)
    report = {"status": 1 << 8, "killed": "", "killed_for_memory": False, **numbers_of_it}
    place = endings.Place(Job(Run(tmp_path), lambda *_: None), 0, 0)
    assert endings.ended(place, report).cause is cause
    os.close(place.error_file)


def test_a_kill_by_the_kernel_for_want_of_memory_is_recognised(executor, limited_group, kernel_kills):
    job = executor.submit(odd_run("outgrow_its_group", limited_group))
    assert job.wait(PATIENCE_S)
    assert (job.ended.signal, job.ended.out_of_memory) == (signal.SIGKILL, True)
    assert "out of memory" in job.ended.reason


@pytest.fixture
def limited_group():
    """A control group of 100 MiB, where this user can make one."""
    name = f"text-recognizer-test-{os.getpid()}"
    places = [
        (Path("/sys/fs/cgroup/memory") / name, "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup") / name, "memory.max"),
    ]
    for folder, limit in places:
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(100 << 20))
            with contextlib.suppress(OSError):
                (folder / "memory.swap.max").write_text("0")
            yield folder
            return
        except OSError:
            continue
        finally:
            wait_until(functools.partial(_removed, folder))
    pytest.skip("this user cannot make a control group with a memory limit")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # the killed process is still leaving
        return False
    return True


def test_further_jobs_wait_for_their_turn_in_the_order_of_their_submission(runs, tmp_path):
    with LocalExecutor(1, CPU, isolation="exec") as executor:
        jobs = [executor.submit(quick_run("nothing")) for _ in range(3)]
        assert all(job.wait(PATIENCE_S) for job in jobs)
    ends = [job.run.folder.joinpath("log.txt").stat().st_mtime_ns for job in jobs]
    assert ends == sorted(ends)


def test_a_closed_executor_ends_what_runs_and_takes_nothing_more(runs, tmp_path):
    executor = LocalExecutor(1, CPU, isolation="exec")
    running, waiting = executor.submit(quick_run("stay", tmp_path / "pid")), executor.submit(new_run())
    wait_for_file(tmp_path / "pid")
    executor.close()
    assert running.ended.reason == "ended by SIGTERM"
    assert waiting.ended.reason == "not started: the executor was closed"
    with pytest.raises(RunError, match="cannot be executed: the executor was closed"):
        executor.submit(waiting.run)
    executor.close()


def test_a_job_that_arrives_when_the_executor_has_left_already_is_told_so(runs):
    executor = LocalExecutor(1, CPU, isolation="exec")
    executor.close()
    run = new_run()
    late, dispatcher = Job(run, lambda *_: None), executor._dispatcher
    dispatcher.do(lambda: dispatcher.take(late, Order.for_run(run, (), 1, {})))
    assert late.ended.reason == "not started: the executor was closed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_executor_leaves_nobody_waiting(runs, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    with LocalExecutor(2, CPU, isolation="exec") as executor:
        running = executor.submit(quick_run("stay", tmp_path / "pid"))
        pid = int(wait_for_file(tmp_path / "pid").split()[0])
        monkeypatch.setattr(endings, "ended", broken)
        ending = executor.submit(quick_run("nothing"))
        for job in (running, ending):
            assert job.wait(PATIENCE_S)
            with pytest.raises(ZeroDivisionError, match="a bug"):
                _ = job.ended
        wait_until(lambda: is_gone(pid))
        with pytest.raises(RunError, match=r"the executor failed \(ZeroDivisionError: a bug\)"):
            executor.submit(ending.run)


def test_impossible_requests_are_refused_at_once(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(DeviceError, match="at least 1. Received: 0"):
        LocalExecutor(0, CPU)
    with pytest.raises(DeviceError, match="no GPU on this machine|hides all GPUs"):
        LocalExecutor(1, DeviceRequest.parse("2x"))


def test_facts_that_json_cannot_hold_are_refused_before_anything_starts(executor):
    with pytest.raises(TypeError, match="not JSON serializable"):
        executor.submit(new_run(), trial=object())


def test_in_this_process_a_run_is_over_when_it_was_submitted(runs, plain, capfd):
    executor = InProcessExecutor(CPU)
    environ = dict(os.environ)
    job = executor.submit(new_run(), trial=3)
    assert job.done()
    assert (job.ended.exit_code, job.ended.reason) == (0, "finished")
    assert "epoch 2/2" in capfd.readouterr().out
    assert process_of(job.run) == os.getpid()
    assert dict(os.environ) == environ
    failed = executor.submit(new_run(train_args={"batch_size": 5000}))
    assert failed.ended.exit_code == 2
    assert failed.ended.reason.startswith("failed: SpecError: train_args.batch_size must be at most 216")
