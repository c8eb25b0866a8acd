"""Mailboxes, beats and turns on a real folder, and the agents at their ends."""

import os
import socket
import subprocess
import sys
import threading
import time
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from text_recognizer.errors import RunError
from text_recognizer.tests.waiting import wait_until
from training.devices.gpu_manager import GPUManager
from training.executors.base import Setting
from training.executors.cluster import mailbox
from training.executors.cluster.handshake import EXIT_UNSEEN
from training.executors.cluster.mailbox import Beat, Inbox, Outbox, Pulse, Turn, driver_elsewhere, make_mailbox
from training.executors.cluster.messages import (
    Message,
    ended_from_json,
)
from training.executors.cluster.node_agent import NodeAgent
from training.executors.cluster.slurm import SlurmCluster
from training.executors.local import LocalExecutor
from training.runs.causes import Cause
from training.tests.devices.simulated_nvml import needs_compiler, simulated_machine
from training.tests.executors.executor_support import new_run


def test_messages_arrive_whole_and_once_and_half_a_line_of_a_dead_writer_is_cut_off(tmp_path):
    make_mailbox(tmp_path / "m")
    path = tmp_path / "m" / "orders.jsonl"
    inbox = Inbox(path)
    Outbox(path).send({"run": 1})
    with open(path, "a") as file:
        file.write('{"run": 2, "fol')
    assert inbox.receive() == [{"run": 1}]
    Outbox(path).send({"run": 3})  # the next driver's
    assert inbox.receive() == [{"run": 3}]
    assert inbox.receive() == []


def test_a_message_that_a_full_disk_kept_back_goes_with_the_next(tmp_path, monkeypatch):
    make_mailbox(tmp_path / "m")
    path = tmp_path / "m" / "reports.jsonl"
    outbox = Outbox(path)

    def full(descriptor, path, row):
        os.write(descriptor, b'{"en')
        raise RunError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(mailbox, "append_line", full)
        with pytest.raises(RunError, match="full"):
            outbox.send({"ended": 1})
    outbox.send({"ended": 2})
    assert Inbox(path).receive() == [{"ended": 1}, {"ended": 2}]


def test_a_beat_is_told_by_change_not_by_clocks(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(mailbox, "time", SimpleNamespace(monotonic=lambda: now[0]))
    beat, pulse = Beat(tmp_path / "beat"), Pulse(tmp_path / "beat")
    assert not pulse.is_there()
    now[0] = 107.0
    assert pulse.silent_s() == 7
    beat.beat()
    os.utime(tmp_path / "beat", (0, 0))  # a host whose clock is wrong
    assert pulse.silent_s() == 7  # it has just looked
    now[0] = 107.25
    assert pulse.silent_s() == 0
    now[0] = 107.75
    beat.beat()  # too early: nothing is written
    assert pulse.silent_s() == 0.5
    now[0] = 108.0
    beat.beat()
    assert pulse.silent_s() == 0


def test_turns_count_up_and_an_earlier_driver_gives_up(tmp_path):
    first = Turn.take(tmp_path)
    first.beat()
    second = Turn.take(tmp_path)
    assert (first.number, second.number) == (1, 2)
    with pytest.raises(RunError, match="taken over this sweep"):
        first.beat()
    second.beat()
    assert second.is_ours()


def test_a_driver_that_beats_on_another_host_keeps_others_out_and_a_silent_one_does_not(tmp_path, monkeypatch):
    elsewhere = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: (tmp_path / "driver.1.beat").write_text("2"))
    monkeypatch.setattr(mailbox, "time", elsewhere)
    (tmp_path / "driver.1").write_text("process 7 on elsewhere\nelsewhere")
    (tmp_path / "driver.1.beat").write_text("1")
    assert driver_elsewhere(tmp_path) == "process 7 on elsewhere"
    (tmp_path / "driver.1.beat").write_text("1")
    with pytest.raises(RunError, match="driven by process 7 on elsewhere already"):
        Turn.take(tmp_path)
    monkeypatch.setattr(mailbox, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None))
    assert Turn.take(tmp_path).number == 2
    host = socket.gethostname()
    assert (tmp_path / "driver.2").read_text() == f"process {os.getpid()} on {host}\n{host}"


def test_an_agent_gets_the_settings_of_its_driver_where_the_cluster_does_not_pass_them_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", "/shared/my data")
    cluster = SlurmCluster(Setting(folder=tmp_path), 1, [])
    cluster.begin()
    (tmp_path / "python").write_text('#!/bin/sh\necho "$TEXT_RECOGNIZER_DATA|$*"\n')
    (tmp_path / "python").chmod(0o755)
    script = cluster.script("7").replace(sys.executable, str(tmp_path / "python"))
    assert subprocess.run(["/bin/sh", "-c", script], env={}, check=True).returncode == 0
    said = (tmp_path / "agents" / "agent-7.txt").read_text()
    assert said == f"/shared/my data|-P -m training.executors.cluster.node_agent {tmp_path}/agents 7\n"
    next((tmp_path / "agents").glob("shared.*")).unlink()  # as on a node without the shared folder
    assert subprocess.run(["/bin/sh", "-c", script], env={}, check=False).returncode == EXIT_UNSEEN
    with pytest.raises(RunError, match=r"node n1 does not see .*agents: .* Set TEXT_RECOGNIZER_RUNS"):
        cluster.note_failure("7", "the node n1", EXIT_UNSEEN)


def test_an_order_during_which_a_signal_closes_the_agent_counts_as_preempted(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    run = new_run()
    agent: Any = object.__new__(NodeAgent)
    reports: list[Message] = []

    def start(_run, **_launch):
        agent._closing = threading.current_thread()  # as the signal's handler does
        raise RunError("cannot be executed: the executor was closed.")

    agent._closing, agent._report, agent._executor = None, reports.append, SimpleNamespace(start=start)
    agent._start(1, {"folder": str(run.folder), "launch": {}})
    assert ended_from_json(reports[0]["how"]).cause is Cause.PREEMPTED


@needs_compiler
def test_an_agent_whose_only_gpu_is_in_quarantine_says_that_no_run_can_start_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    reports: list[Message] = []
    with simulated_machine(monkeypatch) as machine:
        machine.with_gpus(1)
        GPUManager().quarantine("GPU-00000000", "it fell off the bus")
        with LocalExecutor(isolation="exec") as executor:
            agent: Any = object.__new__(NodeAgent)
            agent._closing, agent._report, agent._executor, agent._said = None, reports.append, executor, SimpleQueue()
            agent._jobs, agent._running = {}, set()
            agent._start(1, {"folder": str(new_run().folder), "launch": {}})
            wait_until(lambda: agent._report_news(0.1) or not agent._jobs)
    assert "it fell off the bus" in reports[0]["unusable"]
    assert (reports[1]["ended"], ended_from_json(reports[1]["how"]).cause) == (1, Cause.PREEMPTED)
