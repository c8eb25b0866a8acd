"""An agent that meets its driver in a folder: `python -m training.executors.cluster.serve FOLDER JOB`.

It may outlive its driver: what runs goes on, and the next driver finds it. It leaves when it is told to, when its
machine is wanted for something else (SIGTERM, SIGUSR1), when the process that started it is gone, and when it has
nothing to do and no driver is at work.
"""

import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError
from training.executors.cluster.folder_cluster import EXIT_UNSEEN, SETTING
from training.executors.cluster.mailbox import Beat, Inbox, Outbox, Pulse, make_mailbox
from training.executors.cluster.messages import setting_from_json
from training.executors.cluster.node_agent import NodeAgent
from training.executors.cluster.turn import last_turn
from training.files.json_objects import read_object
from training.terminal.command_line import guarded

# With a free place an order may come at any moment; without, nothing is urgent.
_POLL_S, _IDLE_POLL_S = 0.01, 0.25
_EAGER_S = 30.0
_LOOK_FOR_DRIVER_S = 5.0


class FolderAgent:
    """Passes messages between a mailbox and a NodeAgent.

    Args:
        folder: the sweep's folder of agents.
        facts: what the driver wrote there for its agents.
        job: what the cluster calls this agent.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any], job: str) -> None:
        self._job, self._parent = job, os.getppid()
        self._folder = folder
        self._patience_s = float(facts["patience_s"])
        self._agent = NodeAgent(setting_from_json(facts["setting"]), float(facts["grace_s"]))
        mailbox = folder / f"{job}-{secrets.token_hex(3)}"
        make_mailbox(mailbox)
        self._orders, self._reports = Inbox(mailbox / "orders.jsonl"), Outbox(mailbox / "reports.jsonl")
        self._beat = Beat(mailbox / "beat")
        self._turn = 0
        self._driver = Pulse(folder / "driver.0.beat")
        self._look_for_driver_at = 0.0
        self._eager_until = time.monotonic() + _EAGER_S
        self._why_left = ""

    def serve(self) -> None:
        """Until it has left and everything has been reported."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._report({**self._agent.hello["hello"], "job": self._job}, "hello")
        told = False
        while not self._agent.has_left:
            self._beat.beat()
            self._obey()
            if os.getppid() != self._parent:
                self._leave("the process that started it is gone")
            if self._agent.is_leaving and not told:
                told = True
                self._report({"leaving": self._why_left or "told to"})
            for message in self._agent.reports(self._pause_s()):
                self._report(message)
            if self._agent.is_idle:
                self._leave_without_driver()
                time.sleep(self._pause_s())
        for message in self._agent.reports(0):
            self._report(message)
        self._report({"left": self._why_left or "told to"})

    def _obey(self) -> None:
        for message in self._orders.receive():
            if message.get("turn", 0) < self._turn:  # of a driver that another has replaced
                continue
            self._turn = message.get("turn", 0)
            for report in self._agent.take(message):
                self._report(report)

    def _report(self, message: dict[str, Any], kind: str = "") -> None:
        if "ended" in message:
            self._eager_until = time.monotonic() + _EAGER_S
        with suppress(RunError, OSError):  # a full disk, a server that is away: it goes with the next one
            self._reports.send({kind: message} if kind else message)

    def _pause_s(self) -> float:
        return _POLL_S if time.monotonic() < self._eager_until else _IDLE_POLL_S

    def _leave_without_driver(self) -> None:
        now = time.monotonic()
        if now < self._look_for_driver_at:
            return
        self._look_for_driver_at = now + _LOOK_FOR_DRIVER_S
        with suppress(OSError):
            latest = self._folder / f"driver.{last_turn(self._folder)}.beat"
            if latest != self._driver.path:
                self._driver = Pulse(latest)
        if self._driver.silent_s() > (self._patience_s if self._driver.is_there() else _LOOK_FOR_DRIVER_S):
            self._leave("no driver is at work")

    def _on_signal(self, number: int, _frame: object) -> None:
        self._leave(f"received {signal.Signals(number).name}")

    def _leave(self, why: str) -> None:
        self._why_left = self._why_left or why
        self._agent.leave()


def serve(folder: Path, job: str) -> int:
    try:
        facts = read_object(folder / SETTING)
        os.chdir(facts["folder"])
    except FileNotFoundError as error:
        print(f"error: this host has no {error.filename}", file=sys.stderr)
        return EXIT_UNSEEN
    sys.argv = facts["argv"]  # of the driver, for launch.json
    FolderAgent(folder, facts, job).serve()
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: serve(Path(sys.argv[1]), sys.argv[2])))
