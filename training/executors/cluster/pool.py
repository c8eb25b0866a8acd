"""ClusterExecutor: assigns runs to agents, and takes back those of lost agents, in one thread."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TypeVar

from text_recognizer.errors import RunError, TextRecognizerError
from text_recognizer.wording import counted
from training.executors.base import Ended, Executor, Job
from training.executors.cluster.folder_cluster import FolderCluster, MailboxAgent
from training.executors.cluster.messages import Message, difference, ended_from_json, versions
from training.executors.local import GRACE_S
from training.runs.causes import Cause
from training.runs.contents import read_status
from training.runs.run import Run
from training.terminal.command_line import say

T = TypeVar("T")

_POLL_S = 0.01
# Beyond the grace period of its runs: time until the end of their processes is visible from here.
_MARGIN_S = 10.0
_MOST_FAILURES = 3


@dataclass(eq=False)
class _Orphan:
    """A run whose agent was lost: its process notices, and ends at a checkpoint."""

    job: Job
    why: str
    until: float


@dataclass(eq=False)
class _Member:
    """An agent and its runs."""

    agent: MailboxAgent
    work: dict[int, Job]
    number: int  # of the last order
    host: str = ""
    capacity: int = 0
    has_left: bool = False


class ClusterExecutor(Executor):
    """Distributes jobs to agents, with a limit of concurrent runs. Methods not in Executor belong to its thread."""

    def __init__(self, cluster: FolderCluster, most: int | None, tell: Callable[[str], None] = say) -> None:
        self._cluster = cluster
        self._most = most
        self._tell = tell
        self._members: list[_Member] = []
        self._waiting: dict[Job, dict[str, Any]] = {}  # with further facts for the launch.json of each
        self._orphans: list[_Orphan] = []
        self._rejoined: dict[Path, Job] = {}
        self._commands: Queue[Callable[[], None]] = Queue()  # see Sweep._ended
        self._error: BaseException | None = None
        self._ours = versions()
        self._said_capacity = 0
        self._lost_in_a_row = 0
        self._said = ""
        self._closing = False
        self._killing = False
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)

    @property
    def capacity(self) -> int:  # type: ignore[override]
        """Concurrent runs: as many as the present agents execute; at first one, which waits for them."""
        there = max(1, sum(member.capacity for member in self._members))
        return there if self._most is None else min(self._most, there)

    def capacity_in_words(self) -> str:
        if self._most is None:
            return "as many trials at once as the agents have room for"
        return f"{counted(self._most, 'trial')} at once, or as many as the agents have room for"

    def drive(self, loop: Callable[[], T]) -> T:
        """Finds the agents of this sweep, and starts others, before the loop."""
        self.begin()
        return loop()

    def begin(self) -> None:
        self._cluster.begin()
        self._meet()
        self._rejoined = {job.run.folder: job for member in self._members for job in member.work.values()}
        self._thread.start()

    def submit(self, run: Run, **launch: Any) -> Job:
        if self._error is not None:
            raise self._error
        run.clear_stop_request()
        job = self._job(run)
        self._commands.put(lambda: self._take(job, launch))
        if self._error is not None and not job.done():  # the thread ended in between
            job.future.set_exception(self._error)
        return job

    def rejoin(self, run: Run) -> Job | None:
        return self._rejoined.get(run.folder.resolve())

    def kill(self) -> None:  # called by signal handlers: takes no lock
        self._killing = self._closing = True

    def close(self) -> None:
        self._closing = True
        if self._thread.ident is not None:
            self._thread.join()
        self._cluster.end()

    def _run(self) -> None:
        try:
            while not self._closing:
                self._step()
                self._cluster.keep_up()
                self._assign()
                self._obey(_POLL_S)  # so that submitted runs need not wait for the next turn
            self._wind_up()
        except BaseException as error:  # noqa: BLE001 - passed to those waiting for a job
            self._give_up(error)

    def _step(self) -> None:
        self._obey()
        self._meet()
        for member in list(self._members):
            self._hear(member)
        ready = [member for member in self._members if member.capacity]
        if self._said_capacity < self.capacity and ready:
            self._tell(f"{counted(len(ready), 'agent')} ready: {counted(self.capacity, 'trial')} at once")
        self._said_capacity = self.capacity if ready else 0
        self._release_orphans()

    def _wind_up(self) -> None:
        """Waits until every agent has left or timed out."""
        self._step()
        for job in self._waiting:
            job.end(Ended(None, "not started: the executor was closed"))
        self._waiting.clear()
        self._tell_all({"leave": self._killing})
        killed = self._killing
        until = time.monotonic() + GRACE_S + _MARGIN_S
        while self._members and time.monotonic() < until:
            if self._killing and not killed:
                self._tell_all({"leave": True})
                killed = True
            time.sleep(_POLL_S)
            self._step()
        for member in self._members:
            for job in member.work.values():
                job.end(Ended(None, "its agent did not leave in time", cause=Cause.PREEMPTED))
        for orphan in self._orphans:
            orphan.job.end(Ended(None, orphan.why, cause=Cause.PREEMPTED))

    def _tell_all(self, message: Message) -> None:
        for member in self._members:
            member.agent.send(message)

    def _obey(self, timeout_s: float = 0) -> None:
        with suppress(Empty):
            while True:
                self._commands.get(timeout=timeout_s)()
                timeout_s = 0

    def _take(self, job: Job, launch: dict[str, Any]) -> None:
        status = read_status(job.run.folder)
        if status["state"] == "running":  # its end was not recorded: it may be running where locks are not visible
            self._orphans.append(_Orphan(job, "", time.monotonic() + GRACE_S + _MARGIN_S))
        self._waiting[job] = launch

    def _cancel(self, job: Job, kill: bool, reason: str, cause: Cause) -> None:
        if self._waiting.pop(job, None) is not None:
            job.end(Ended(None, f"{reason}, before it started", cause=cause))
        elif kill:
            for member in self._members:
                for number in (number for number, its in member.work.items() if its is job):
                    member.agent.send({"kill": number})
        else:
            job.ask_to_stop(reason, cause, self._tell)

    def _meet(self) -> None:
        for agent, given in self._cluster.new_agents():
            work = {number: self._job(Run(folder)) for number, folder in given.items()}
            for job in work.values():
                job.state = "running"
            self._members.append(_Member(agent, work, max(given, default=0)))

    def _job(self, run: Run) -> Job:
        return Job(run, lambda *what: self._commands.put(lambda: self._cancel(*what)))

    def _hear(self, member: _Member) -> None:
        why = self._cluster.why_gone(member.agent)  # before its last messages are read
        for message in member.agent.receive():
            self._understand(member, message)
        if member.has_left or why is not None:
            self._lose(member, why or "its agent left")

    def _understand(self, member: _Member, message: Message) -> None:
        if "hello" in message:
            self._greet(member, message["hello"])
        elif "running" in message and (job := member.work.get(message["running"])) is not None:
            job.state, job.place, job.waiting_for = "running", f"{member.host}: {message['place']}", None
        elif "ended" in message and (job := member.work.pop(message["ended"], None)) is not None:
            self._lost_in_a_row = 0
            job.end(ended_from_json(message["how"]))
        elif "said" in message:
            self._tell(f"{member.host}: {message['said']}")
        elif "unusable" in message and member.capacity:
            member.capacity = 0
            member.agent.send({"leave": False})
            why = str(message["unusable"]).rstrip(".")
            self._cluster.refuse(member.agent, f"no trial can start on the node {member.host}: {why}", "Repair it")
        elif "leaving" in message:
            member.capacity = 0
        elif "left" in message:
            member.has_left = True

    def _greet(self, member: _Member, hello: Mapping[str, Any]) -> None:
        member.host = str(hello["host"])
        different = difference(hello["versions"], self._ours)
        if different is None:
            member.capacity = int(hello["capacity"])
        else:
            member.agent.send({"leave": False})
            self._cluster.refuse(member.agent, f"the node {member.host} has other versions: {different}")

    def _lose(self, member: _Member, why: str) -> None:
        self._members.remove(member)
        member.agent.forget()
        if not member.has_left:
            self._tell(f"the agent on {member.host or member.agent.id} is gone: {why}")
            self._lost_in_a_row += 1
        if self._lost_in_a_row >= _MOST_FAILURES and not member.host:
            raise RunError(f"agents end before they execute a run, {_MOST_FAILURES} in a row: {why}")
        until = time.monotonic() + (0 if member.has_left else GRACE_S + _MARGIN_S)
        self._orphans += [_Orphan(job, f"its agent is gone: {why}", until) for job in member.work.values()]

    def _release_orphans(self) -> None:
        """Releases runs whose processes have ended, as far as can be known, to be started elsewhere."""
        now = time.monotonic()
        for orphan in list(self._orphans):
            held, ended = _condition(orphan.job.run)
            if not held and (ended or now >= orphan.until):
                self._orphans.remove(orphan)
                if orphan.why:
                    orphan.job.end(Ended(None, orphan.why, cause=Cause.PREEMPTED))

    def _assign(self) -> None:
        held_back = {orphan.job for orphan in self._orphans}
        for job in [job for job in self._waiting if job not in held_back]:
            free = [member for member in self._members if len(member.work) < member.capacity]
            if not free:
                break
            # The emptiest first, so that a node's devices and cores are shared as late as possible.
            member = min(free, key=lambda member: len(member.work) / member.capacity)
            member.number += 1
            member.work[member.number] = job
            run_folder, launch = str(job.run.folder.resolve()), self._waiting.pop(job)
            member.agent.send({"run": member.number, "folder": run_folder, "launch": launch})
        if self._waiting and not any(member.capacity for member in self._members):
            text = self._cluster.waiting_for()
            next(iter(self._waiting)).waiting_for = text
            if text != self._said:
                self._said = text
                self._tell(text)

    def _give_up(self, error: BaseException) -> None:
        self._error = error if isinstance(error, TextRecognizerError) else RunError(f"the executor failed: {error!r}")
        self._obey()  # runs submitted before the error was known
        jobs = [*self._waiting, *(orphan.job for orphan in self._orphans)]
        for job in [*jobs, *(job for member in self._members for job in member.work.values())]:
            if not job.done():
                job.future.set_exception(error)


def _condition(run: Run) -> tuple[bool, bool]:
    """Whether a process holds a run, as far as visible from here, and whether its end was recorded."""
    try:
        return run.is_held(), read_status(run.folder)["state"] != "running"
    except RunError:
        return False, True
