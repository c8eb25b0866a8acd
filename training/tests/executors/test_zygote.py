"""The zygote: what it must not be forked with, and what is left when it or its driver is killed."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import threading
from dataclasses import asdict

import pytest

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.devices.cpu_slots import cpu_slots
from training.devices.gpu_manager import Lease
from training.devices.requests import DeviceRequest
from training.executors.local import LocalExecutor
from training.executors.zygote import zygote as zygote_module
from training.executors.zygote.order import Order
from training.executors.zygote.zygote_process import Channel
from training.files import processes
from training.runs.environment import users_modules
from training.tests.executors.executor_support import (
    ODD,
    Undisturbed,
    children_of,
    is_gone,
    kill,
    log,
    new_run,
    numbers,
    odd_run,
    process_of,
    quick_run,
    start_driver,
    wait_for_file,
)
from training.tests.pausing_digits import PAUSING, pause

CPU = DeviceRequest(0)
SOME_EPOCHS = {"dataset": PAUSING, "train_args": {"batch_size": 32, "epochs": 5, "checkpoint_interval_s": 0}}

MODULES = {
    "harmless": "",
    "builds_a_layer": "import keras\nkeras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])",
    "starts_a_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()",
    "touches_cuda": "import ctypes, pathlib\nctypes.CDLL(str(pathlib.Path(__file__).parent / 'libcuda.so.1'))",
    "fails": "raise RuntimeError('not today')",
    "ends_the_process": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
}
NETWORK = "\nfrom text_recognizer.networks.mlp import Mlp\nclass Net(Mlp): ...\n"


@pytest.fixture(scope="module")
def users_code(tmp_path_factory):
    """A folder of a user's modules, on the path of the driver."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text + NETWORK)
    import markupsafe._speedups

    shutil.copy(markupsafe._speedups.__file__, folder / "libcuda.so.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def said():
    """The lines for the user."""
    return []


@pytest.fixture(scope="module")
def executor(runs, users_code, said):
    """Two at a time, as forks, with all of the user's modules to preload."""
    modules = [*MODULES, ODD]
    with LocalExecutor(2, CPU, "fork", (), modules, PATIENCE_S, said.append) as two_at_a_time:
        assert two_at_a_time.wait_until_ready(PATIENCE_S)
        yield two_at_a_time


@pytest.fixture(scope="module")
def undisturbed(runs, warm):
    return Undisturbed(lambda: new_run(**SOME_EPOCHS), warm.programs / "python")


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """As long as it is there, runs of SOME_EPOCHS end only when they are asked to."""
    for name, value in pause(tmp_path / "gate").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "gate"


def test_a_module_that_would_spoil_the_zygote_is_left_to_the_runs_and_the_user_is_told(executor, said):
    assert executor._dispatcher.isolation == "fork"
    notes = {line.split()[3]: line.partition("since ")[2] for line in said if line.startswith("every run imports")}
    assert set(notes) == set(MODULES) - {"harmless"}
    assert "an eager context of TensorFlow (an operation was executed, or a layer built)" in notes["builds_a_layer"]
    assert "leaves another thread running" in notes["starts_a_thread"]
    assert "leaves the CUDA driver loaded" in notes["touches_cuda"]
    assert "fails (RuntimeError: not today)" in notes["fails"]
    assert "ends the process with SIGSEGV" in notes["ends_the_process"]


def test_a_network_of_such_a_module_trains_in_a_fork_with_the_usual_numbers(executor):
    small = {"network_args": {"layer_size": 16, "num_layers": 1}}
    jobs = [executor.submit(new_run(network=network, **small)) for network in ("builds_a_layer:Net", "mlp")]
    assert all(job.wait(PATIENCE_S) for job in jobs)
    assert [job.ended.exit_code for job in jobs] == [0, 0], log(jobs[0].run)
    assert numbers(jobs[0].run) == numbers(jobs[1].run)


def test_the_modules_to_preload_are_those_that_specs_name():
    spec = ExperimentSpec(
        "my.data:Lines", "CharacterModel", "my.nets:A", train_args={"optimizer": "my.nets:B", "schedule": "cosine"}
    )
    assert users_modules([spec, spec]) == ["my.data", "my.nets"]


def test_a_run_finds_everything_imported(executor, tmp_path):
    job = executor.submit(odd_run("list_imports", tmp_path / "imports"))
    assert job.wait(PATIENCE_S)
    assert (tmp_path / "imports").read_text() == "", "the zygote could have imported these: add them to preloading.py"


def test_keras_is_imported_without_scikit_learn_which_a_run_can_import_all_the_same(warm, tmp_path):
    code = "import gc, sys; assert 'keras' in sys.modules and 'sklearn' not in sys.modules; import sklearn"
    code += "; assert gc.isenabled()"
    with open(tmp_path / "output", "w+") as output:
        done = warm.start("example", code, cwd=tmp_path, env=os.environ, output=output)
        assert done.wait(PATIENCE_S) == 0, output.read()


def test_where_the_zygote_must_not_be_forked_runs_are_executed_and_the_user_is_told(runs, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(MODULES["starts_a_thread"])
    monkeypatch.syspath_prepend(str(tmp_path))
    said: list[str] = []
    with LocalExecutor(1, CPU, tell=said.append) as executor:
        job = executor.submit(quick_run("nothing"))
        assert job.wait(PATIENCE_S)
        assert (executor._dispatcher.isolation, job.ended.exit_code) == ("exec", 0)
    (line,) = said
    assert line.startswith("runs start as fresh interpreters, which takes seconds each: another thread running")


def test_a_zygote_that_dies_twice_while_it_imports_is_done_without(runs, tmp_path, monkeypatch):
    deadly = """import os, sys\nif '"fork"' in sys.orig_argv[-1]: os.kill(os.getpid(), 9)"""
    (tmp_path / "sitecustomize.py").write_text(deadly)
    monkeypatch.syspath_prepend(str(tmp_path))
    said: list[str] = []
    with LocalExecutor(1, CPU, tell=said.append) as executor:
        job = executor.submit(quick_run("nothing"))
        assert job.wait(PATIENCE_S)
        assert (executor._dispatcher.isolation, job.ended.exit_code) == ("exec", 0)
    killed = "the zygote was killed by SIGKILL; "
    instead = "runs start as fresh interpreters from now on, which takes seconds each"
    assert said == [killed + "another one takes its place", killed + instead]


def test_a_zygote_that_never_comes_up_ends_all_jobs_with_the_reason(runs, tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    waits = f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
    (tmp_path / "sitecustomize.py").write_text(f"{waits}print('no luck', flush=True)\nos._exit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    said: list[str] = []
    with LocalExecutor(1, CPU, tell=said.append) as executor:
        job = executor.submit(quick_run("nothing"))
        gate.touch()
        assert job.wait(PATIENCE_S)
        wait_until(lambda: len(said) == 3)
        because = "cannot start processes for runs: the zygote ended with exit code 3 (no luck), 3 times in a row"
        assert said[-1] == because
        assert job.ended.reason == f"not started: {because}"
        with pytest.raises(RunError, match="cannot be executed: cannot start processes for runs"):
            executor.submit(job.run)


def test_a_killed_zygote_is_replaced_and_its_runs_end_at_a_checkpoint(executor, undisturbed, said, gate):
    jobs = [executor.submit(new_run(**SOME_EPOCHS)) for _ in range(2)]
    first = first_with_rows([job.run for job in jobs])
    trial, zygote, *_ = processes.ancestry(process_of(first))
    trials = children_of(zygote)
    os.kill(zygote, signal.SIGKILL)
    assert all(job.wait(PATIENCE_S) for job in jobs)
    assert trial in trials
    assert len(trials) == 2
    assert all(is_gone(pid) for pid in trials)
    assert [job.ended.reason for job in jobs] == ["the zygote that had started it was killed by SIGKILL"] * 2
    assert first.status().state == "preempted"
    assert "the process that started this run is gone" in log(first)
    assert "the zygote was killed by SIGKILL; another one takes its place" in said
    gate.unlink()
    again = [executor.submit(job.run) for job in jobs]
    assert all(job.wait(PATIENCE_S) for job in again)
    assert all(numbers(job.run) == undisturbed.like(job.run) for job in again)


def test_a_killed_driver_leaves_no_process_and_its_runs_go_on_to_the_same_numbers(executor, undisturbed, runs, gate):
    made = [new_run(**SOME_EPOCHS) for _ in range(2)]
    driver = start_driver("fork", "none", PATIENCE_S, *made)
    first = first_with_rows(made)
    _, zygote, *_ = processes.ancestry(process_of(first))
    pids = [zygote, *children_of(zygote)]
    kill(driver)
    assert len(pids) == 3
    wait_until(lambda: all(is_gone(pid) for pid in pids))
    assert first.status().state == "preempted"
    gate.unlink()
    again = [executor.submit(run) for run in made]
    assert all(job.wait(PATIENCE_S) for job in again)
    assert all(numbers(run) == undisturbed.like(run) for run in made)


def first_with_rows(runs):
    """The first of several runs to report something, once all have processes."""
    wait_until(lambda: all(process_of(run) for run in runs))
    return wait_until(lambda: next((run for run in runs if run.rows()), None))


def test_when_driver_and_zygote_are_killed_together_no_run_stays(runs, tmp_path):
    driver = start_driver("exec", "none", 1, quick_run("stay_whatever_comes", tmp_path / "stubborn"))
    stubborn = int(wait_for_file(tmp_path / "stubborn").split()[0])
    _, zygote, *_ = processes.ancestry(stubborn)
    os.kill(zygote, signal.SIGSTOP)  # so that it cannot act before it is killed
    kill(driver)
    assert not is_gone(stubborn)
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: is_gone(stubborn))


def test_a_killed_driver_is_missed_although_another_of_its_children_lives(runs, tmp_path):
    run = quick_run("stay_whatever_comes", tmp_path / "stubborn")
    driver = start_driver("exec", "none", 1, run, OTHER_CHILD=str(tmp_path / "other"))
    stubborn, other = (int(wait_for_file(tmp_path / name).split()[0]) for name in ("stubborn", "other"))
    kill(driver)
    wait_until(lambda: is_gone(stubborn))
    os.kill(other, signal.SIGKILL)


def test_a_run_that_comes_to_no_checkpoint_is_killed_when_its_time_is_over(runs, tmp_path):
    executor = LocalExecutor(1, CPU, "exec", (), grace_s=0.5)
    job = executor.submit(quick_run("stay_whatever_comes", tmp_path / "stubborn"))
    stubborn = int(wait_for_file(tmp_path / "stubborn").split()[0])
    executor.close()
    assert job.ended.reason == "killed: it came to no checkpoint within 0.5 s of being asked to end"
    assert is_gone(stubborn)


def serve_here(channel, driver):
    """The zygote's loop in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGTERM)}
    try:
        zygote_module.Zygote(channel, True, 1, driver).serve()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_driver_that_died_while_the_zygote_imported_is_missed_although_its_channel_is_open():
    with subprocess.Popen(["true"]) as driver:
        driver.wait()
    driver_end, zygote_end = map(Channel, socket.socketpair())
    missed_otherwise = threading.Timer(PATIENCE_S, driver_end.finish)
    missed_otherwise.start()
    serve_here(zygote_end, driver.pid)
    assert missed_otherwise.is_alive()
    missed_otherwise.cancel()
    driver_end.close()


def test_a_process_that_cannot_be_started_is_reported(monkeypatch, runs):

    def no_process(*_):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(zygote_module, "fork_trial", no_process)
    driver_end, zygote_end = map(Channel, socket.socketpair())
    lease_end, lease = os.pipe()
    order = Order.for_run(quick_run("nothing"), (), 1, {}).placed(Lease(()), cpu_slots(1)[0])
    driver_end.send({"start": 5, "order": asdict(order)}, [lease])
    os.close(lease)
    driver_end.finish()
    serve_here(zygote_end, os.getppid())
    ((message, _),) = driver_end.receive() or []
    assert message == {"refused": 5, "why": f"[Errno {errno.EAGAIN}] {os.strerror(errno.EAGAIN)}"}
    assert os.read(lease_end, 1) == b"", "the zygote still holds the lease"
