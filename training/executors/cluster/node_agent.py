"""NodeAgent: executes runs on one node, each in a fresh process from the node's zygote. It makes no decisions.

`python -m training.executors.cluster.node_agent FOLDER JOB` communicates with its driver through a folder. It can
outlive its driver: runs continue, and the next driver finds it. It exits when it is told to, when it is preempted
(SIGTERM, SIGUSR1), when the process that started it has died, and when it is idle and no driver is active.
"""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from text_recognizer.errors import RunError, TextRecognizerError
from training.executors.base import Ended, Job, first_ended
from training.executors.cluster.folder_cluster import SETTING
from training.executors.cluster.mailbox import Beat, Inbox, Outbox, Pulse, last_turn, make_mailbox
from training.executors.cluster.messages import Message, hello, setting_from_json
from training.executors.local import LocalExecutor
from training.executors.zygote.zygote_process import Isolation
from training.files.json_objects import read_object
from training.runs.causes import Cause
from training.runs.run import Run
from training.terminal.command_line import guarded

_NOT_STARTED = Ended(None, "not started: its agent is leaving", cause=Cause.PREEMPTED)
# Polling intervals: after a run ends, the next order usually comes at once; later, nothing is urgent.
_PAUSES_S = {0.25: 0.003, 30.0: 0.01, float("inf"): 0.25}
_LOOK_FOR_DRIVER_S, _PATIENCE_S = 5.0, 600.0


class NodeAgent:
    """Owns this node's zygote and leases its devices.

    Args:
        folder: the sweep's folder of agents.
        facts: the driver's settings for its agents.
        job: name of this agent in the cluster.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any], job: str) -> None:
        self._folder = folder
        self._parent = os.getppid()
        self._said: SimpleQueue[str] = SimpleQueue()
        setting = setting_from_json(facts["setting"])
        isolation: Isolation = "exec" if setting.fresh else "fork"
        self._executor = LocalExecutor(
            setting.jobs, setting.request, isolation, setting.trackers, setting.modules, tell=self._said.put
        )
        self._jobs: dict[int, Job] = {}
        self._running: set[int] = set()
        self._closing: threading.Thread | None = None
        self._why_left = ""
        mailbox = folder / f"{job}-{secrets.token_hex(3)}"
        make_mailbox(mailbox)
        self._orders, self._reports = Inbox(mailbox / "orders.jsonl"), Outbox(mailbox / "reports.jsonl")
        self._beat = Beat(mailbox / "beat")
        self._turn = 0
        self._driver = Pulse(folder / "driver.0.beat")
        self._look_for_driver_at = 0.0
        self._last_end = time.monotonic()
        self._report({"hello": hello(job, self._executor.capacity)})

    def serve(self) -> None:
        """Runs until it has left and everything has been reported."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda number, _: self._leave(f"received {signal.Signals(number).name}"))
        told = False
        while self._closing is None or self._closing.is_alive():
            self._beat.beat()
            self._obey()
            if os.getppid() != self._parent:
                self._leave("the process that started it is gone")
            if self._closing is not None and not told:
                told = True
                self._report({"leaving": self._why_left})
            self._report_news(self._pause_s())
            if not self._jobs:
                self._leave_without_driver()
                time.sleep(self._pause_s())
        self._report_news(0)
        self._report({"left": self._why_left})

    def _obey(self) -> None:
        for message in self._orders.receive():
            if message.get("turn", 0) < self._turn:  # from a driver that has been replaced
                continue
            self._turn = message.get("turn", 0)
            if "run" in message:
                self._start(message["run"], message)
            elif "kill" in message and (job := self._jobs.get(message["kill"])) is not None:
                job.cancel(kill=True, reason="killed on request")
            elif "leave" in message:
                self._leave("told to", message["leave"])

    def _start(self, number: int, message: Message) -> None:
        if self._closing is not None:  # the order arrived while it was leaving
            self._report({"ended": number, "how": asdict(_NOT_STARTED)})
            return
        try:
            run = Run.open(Path(message["folder"]))
            self._jobs[number] = self._executor.start(run, **message["launch"])
        except (TextRecognizerError, OSError) as error:
            # It may have been closed since the check above.
            closed = self._closing is not None or self._executor.why_closed is not None
            how = _NOT_STARTED if closed else Ended(None, f"not started: {error}")
            self._report({"ended": number, "how": asdict(how)})

    def _leave(self, why: str, kill: bool = False) -> None:
        """Starts no more runs and ends running ones, by default at a checkpoint if they reach one in time."""
        self._why_left = self._why_left or why
        if kill:
            self._executor.kill()
        if self._closing is None:
            self._closing = threading.Thread(target=self._executor.close, name="closing", daemon=True)
            self._closing.start()

    def _report_news(self, timeout_s: float) -> None:
        """Reports news, after waiting some time for a run to end."""
        ended = first_ended(self._jobs.values(), timeout_s) if self._jobs else set()
        with suppress(Empty):
            while True:
                self._report({"said": self._said.get_nowait()})
        for number, job in self._jobs.items():
            if number not in self._running and job.state != "waiting" and job.place is not None:
                self._running.add(number)
                self._report({"running": number, "place": job.place})
        for number in [number for number, job in self._jobs.items() if job in ended]:
            job = self._jobs.pop(number)
            error = job.future.exception()
            how = job.ended if error is None else Ended(None, str(error))
            if self._closing is None and (why := self._executor.why_closed) is not None:
                self._report({"unusable": why})
            self._report({"ended": number, "how": asdict(how if self._closing is None else _when_leaving(job, how))})
            self._last_end = time.monotonic()

    def _report(self, message: Message) -> None:
        with suppress(RunError, OSError):  # a full disk or an unavailable server: it is sent with the next one
            self._reports.send(message)

    def _pause_s(self) -> float:
        since_s = time.monotonic() - self._last_end
        return next(pause_s for until_s, pause_s in _PAUSES_S.items() if since_s < until_s)

    def _leave_without_driver(self) -> None:
        now = time.monotonic()
        if now < self._look_for_driver_at:
            return
        self._look_for_driver_at = now + _LOOK_FOR_DRIVER_S
        with suppress(OSError):
            latest = self._folder / f"driver.{last_turn(self._folder)}.beat"
            if latest != self._driver.path:
                self._driver = Pulse(latest)
        if self._driver.silent_s() > (_PATIENCE_S if self._driver.is_there() else _LOOK_FOR_DRIVER_S):
            self._leave("no driver is running")


def _when_leaving(job: Job, how: Ended) -> Ended:
    """If a run ended because the agent is leaving, it has not failed, even without a checkpoint."""
    if job.place is None:
        return _NOT_STARTED
    if how.signal is not None or how.exit_code == 128 + signal.SIGTERM:
        return replace(how, cause=Cause.PREEMPTED)
    return how


def serve(folder: Path, job: str) -> int:
    facts = read_object(folder / SETTING)
    sys.argv = facts["argv"]  # of the driver, for launch.json
    NodeAgent(folder, facts, job).serve()
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: serve(Path(sys.argv[1]), sys.argv[2])))
