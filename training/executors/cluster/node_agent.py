"""NodeAgent: executes runs on one node, each in a fresh process from the node's zygote. It decides nothing."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from text_recognizer.errors import TextRecognizerError
from training.executors.base import Ended, Job, Setting, first_ended
from training.executors.cluster.messages import Message, hello, setting_to_json
from training.executors.local import GRACE_S, LocalExecutor
from training.executors.zygote.zygote_process import Isolation
from training.runs.causes import Cause
from training.runs.run import Run

_NOT_STARTED = Ended(None, "not started: its agent is leaving", cause=Cause.PREEMPTED)


class NodeAgent:
    """Owns this node's zygote and leases its devices, for one thread that passes messages in and out.

    Args:
        setting: the runs at once and devices of each are of this node.
        grace_s: what runs get to reach a checkpoint when the agent leaves, or dies.
    """

    def __init__(self, setting: Setting, grace_s: float = GRACE_S) -> None:
        self._said: SimpleQueue[str] = SimpleQueue()
        isolation: Isolation = "exec" if setting.fresh else "fork"
        self._executor = LocalExecutor(
            setting.jobs, setting.request, isolation, setting.trackers, setting.modules, grace_s, self._said.put
        )
        self._jobs: dict[int, Job] = {}
        self._running: set[int] = set()
        self._closing: threading.Thread | None = None
        self.hello: Message = {"hello": hello(self._executor.capacity, setting_to_json(setting))}

    @property
    def is_idle(self) -> bool:
        return not self._jobs

    @property
    def is_leaving(self) -> bool:
        return self._closing is not None

    @property
    def has_left(self) -> bool:
        """Whether all its runs have ended after it was told to leave."""
        return self._closing is not None and not self._closing.is_alive()

    def take(self, message: Message) -> list[Message]:
        """Does what a driver's message says; what can be reported at once."""
        if "run" in message:
            return self._start(message)
        if "kill" in message and (job := self._jobs.get(message["kill"])) is not None:
            job.cancel(kill=True, reason="killed on request")
        elif "leave" in message:
            self.leave(message["leave"])
        return []

    def leave(self, kill: bool = False) -> None:
        """Starts no more runs and ends those at work, by default at a checkpoint if they reach one in time."""
        if kill:
            self._executor.kill()
        if self._closing is None:
            self._closing = threading.Thread(target=self._executor.close, name="closing", daemon=True)
            self._closing.start()

    def reports(self, timeout_s: float) -> list[Message]:
        """What has happened, after waiting for an end for a while."""
        ended = first_ended(self._jobs.values(), timeout_s) if self._jobs else set()
        return [*self._notes(), *self._starts(), *self._ends(ended)]

    def _start(self, message: Message) -> list[Message]:
        number = message["run"]
        if self._closing is not None:  # the order and the leaving crossed
            return [{"ended": number, "how": asdict(_NOT_STARTED)}]
        try:
            run = Run.open(Path(message["folder"]))
            self._jobs[number] = self._executor.start(run, **message["launch"])
        except (TextRecognizerError, OSError) as error:
            return [{"ended": number, "how": asdict(Ended(None, f"not started: {error}"))}]
        return []

    def _notes(self) -> Iterator[Message]:
        with suppress(Empty):
            while True:
                yield {"said": self._said.get_nowait()}

    def _starts(self) -> Iterator[Message]:
        for number, job in self._jobs.items():
            if number not in self._running and job.state != "waiting":
                self._running.add(number)
                yield {"running": number, "place": job.place}

    def _ends(self, ended: set[Job]) -> Iterator[Message]:
        for number, job in list(self._jobs.items()):
            if job in ended:
                del self._jobs[number]
                error = job.future.exception()
                how = job.ended if error is None else Ended(None, str(error))
                yield {"ended": number, "how": asdict(how if self._closing is None else _when_leaving(job, how))}


def _when_leaving(job: Job, how: Ended) -> Ended:
    """An end that came of the agent leaving is no failure of the run, even where it was too early for a checkpoint."""
    if job.place is None:
        return _NOT_STARTED
    if how.signal is not None or how.exit_code == 128 + signal.SIGTERM:
        return replace(how, cause=Cause.PREEMPTED)
    return how
