"""Ctrl-C while processes of a sweep are suspended: what it must reach cannot be asked."""

import json
import os
import signal
import subprocess
import sys

import pytest

from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.files import processes
from training.runs.run import Run
from training.tests.executors.executor_support import ODD, is_gone, wait_for_file

# A sweep whose loop waits for something that never comes.
DEAF = """
import time
from types import SimpleNamespace as Fake
from training.sweeps.limits import Limits
from training.sweeps.sweep import Sweep

def drive(loop):
    print("deaf", flush=True)
    time.sleep(3600)

def nothing(*_):
    pass

executor = Fake(drive=drive, kill=lambda: print("killed", flush=True), close=nothing)
folder = Fake(hold=nothing, release=nothing, append=nothing)
plan, search = Fake(metric=None, config=None), Fake(stopping_rule=None)
Sweep(plan, search, executor, folder, Limits(), None).run()
"""


@pytest.fixture
def sweep(tmp_path, digits_prepared):
    """A sweep of two trials, neither of which comes to a checkpoint; its process."""
    experiments = [
        {
            "dataset": "DigitsDataset",
            "model": "CharacterModel",
            "network": f"{ODD}:Odd",
            "network_args": {"deed": "stay", "file": str(tmp_path / name)},
            "train_args": {"epochs": 1},
        }
        for name in ("first", "second")
    ]
    (tmp_path / "list.json").write_text(json.dumps({"experiment_group": "list", "experiments": experiments}))
    started = subprocess.Popen(
        [sys.executable, "-m", "training.run_sweep", "list.json", "--jobs=2", "--nowandb", "--gpu=none"],
        cwd=tmp_path,
        env={**os.environ, "TEXT_RECOGNIZER_RUNS": str(tmp_path / "runs")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with started:
        yield started
        started.kill()


def suspend(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(processes.is_suspended(pid) for pid in pids))


@pytest.mark.parametrize("suspended", ["zygote", "zygote and trials"])
def test_a_second_ctrl_c_kills_zygote_and_trials_whichever_is_suspended(sweep, tmp_path, suspended):
    trials = [int(wait_for_file(tmp_path / name)) for name in ("first", "second")]
    _, zygote, *_ = processes.ancestry(trials[0])
    chosen = [zygote] + trials * ("trials" in suspended)
    suspend(chosen)
    sweep.send_signal(signal.SIGINT)
    runs = [Run(path.parent) for path in (tmp_path / "runs").rglob("launch.json")]
    wait_until(lambda: all(run.stop_requested() for run in runs))
    assert len(runs) == 2
    suspend(chosen)  # asking the trials to stop has resumed the zygote
    sweep.send_signal(signal.SIGINT)
    said, _ = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 130, said
    assert "stopping: trials end at their next checkpoint. Again (Ctrl-C) to kill them." in said
    wait_until(lambda: all(is_gone(pid) for pid in [zygote, *trials]))


def test_a_third_ctrl_c_ends_a_sweep_that_hears_nothing():
    command = [sys.executable, "-c", DEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for answer in ("deaf", "stopping", "killed"):
            assert process.stdout.readline().startswith(answer)
            process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == -signal.SIGINT
