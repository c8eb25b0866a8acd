"""Dispatcher: assigns cores and devices to jobs and starts them through the zygote, in one thread."""

import contextlib
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from queue import Empty, SimpleQueue

from text_recognizer.errors import DeviceError
from training.attempts.causes import cause_in
from training.devices.cpu_slots import CpuSlot
from training.devices.gpu_manager import Lease
from training.executors.base import Ended, Job
from training.executors.zygote import endings
from training.executors.zygote.endings import Place
from training.executors.zygote.lease_source import LeaseSource
from training.executors.zygote.order import Order
from training.executors.zygote.zygote_process import Isolation, Message, ZygoteProcess
from training.runs.causes import Cause

_POLL_S = 0.05
# Consecutive zygotes that died without having started a run.
_MOST_DEATHS = 3
# The limit of those that died during imports, which may be the cause.
_DEATHS_BEFORE_EXEC = 2


class Dispatcher:
    """All methods except `do` and `kill` belong to the thread that executes `run`.

    Args:
        slots: the cores, one slot per concurrent job.
        leases: source of device leases; None for the CPU.
        grace_s: time for runs to reach a checkpoint.
        tell: receives lines for the user.
    """

    def __init__(
        self,
        start_zygote: Callable[[Isolation], ZygoteProcess],
        isolation: Isolation,
        slots: Sequence[CpuSlot],
        leases: LeaseSource | None,
        grace_s: float,
        tell: Callable[[str], None],
    ) -> None:
        self.isolation = isolation  # that of its zygote, once that is ready
        self.ready = threading.Event()
        self.why_closed: str | None = None
        self._new_zygote = start_zygote
        self._slots = slots
        self._free_slots = list(range(len(slots)))
        self._leases = leases
        self._grace_s = grace_s
        self._tell = tell
        self._waiting: deque[tuple[Job, Order]] = deque()
        self._running: dict[int, Place] = {}
        self._orphans: list[Place] = []
        self._number = 0
        self._deaths = 0
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._entrance = threading.Lock()  # a command arrives before the thread has left, or knows that it has
        self._left = False
        self._killed = False
        self._bell, self._bell_heard = socket.socketpair()
        self._bell.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell_heard, selectors.EVENT_READ)
        self._zygote: ZygoteProcess | None = None
        self._start_zygote()

    def do(self, command: Callable[[], None]) -> None:
        """For other threads: executes a function in the thread, or in the caller once that thread has left."""
        with self._entrance:
            if not self._left:
                self._commands.put(command)
                self._ring()
                return
        command()  # the thread has left

    def run(self) -> None:
        """Runs until it is closed and no run is left."""
        try:
            while self.why_closed is None or self._zygote is not None or self._orphans:
                self._start_jobs()
                for key, _ in self._selector.select(_POLL_S if self._orphans else None):
                    if key.fileobj is self._bell_heard:
                        self._bell_heard.recv(1 << 12)
                    else:
                        self._hear_zygote()
                self._obey()
                for orphan in [orphan for orphan in self._orphans if orphan.is_gone()]:
                    self._orphans.remove(orphan)
                    self._end(orphan, Ended(None, str(orphan.orphaned)))
        except BaseException as error:
            self._give_up(error)
            raise
        finally:
            with self._entrance:
                self._left = True
            self._obey()  # last commands
            if self._leases is not None:
                self._leases.close()
            self._selector.close()
            self._bell.close()
            self._bell_heard.close()

    def take(self, job: Job, order: Order) -> None:
        if self.why_closed is None:
            self._waiting.append((job, order))
        else:
            job.end(self._not_started())

    def cancel(self, job: Job, kill: bool, reason: str, cause: Cause) -> None:
        """See Job.cancel."""
        for entry in self._waiting:
            if entry[0] is job:
                self._waiting.remove(entry)
                job.end(Ended(None, f"{reason}, before it started", cause=cause))
                return
        if job.done():
            return
        if self._zygote is not None:
            self._zygote.wake()
        if not kill:
            job.ask_to_stop(reason, cause, self._say)
            return
        for orphan in self._orphans:
            if orphan.job is job:
                orphan.kill_at = 0.0
        for number, place in self._running.items():
            if place.job is job and self._zygote is not None:
                self._zygote.send({"kill": number})

    def kill(self) -> None:
        """See Executor.kill. Takes no lock and does not use the thread, which a suspended zygote may block."""
        self._killed = True
        if (zygote := self._zygote) is not None:
            zygote.kill()
        for orphan in list(self._orphans):
            orphan.kill()

    def close(self, because: str) -> None:
        if self.why_closed is None:
            self.why_closed = because
        while self._waiting:
            self._waiting.popleft()[0].end(self._not_started())
        if self._zygote is not None:
            # A zygote that is still importing has no runs, and would respond only afterwards.
            self._zygote.finish() if self.ready.is_set() else self._zygote.kill()

    def _not_started(self) -> Ended:
        return Ended(None, f"not started: {self.why_closed}", cause=Cause.PREEMPTED)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # already woken, or the thread has left
            self._bell.send(b"\0")

    def _obey(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                self._commands.get_nowait()()

    def _start_jobs(self) -> None:
        if self._leases is not None and not self._waiting:
            self._leases.give_back()
        while self._waiting and self._free_slots and self._zygote is not None and self.ready.is_set():
            job, order = self._waiting[0]
            try:
                lease = self._take_lease(job)
            except DeviceError as error:  # as for all jobs: they have the same request
                self.close(f"no device: {error}")
                return
            if lease is None:
                return
            self._waiting.popleft()
            self._start_job(job, order, lease, self._zygote)

    def _take_lease(self, job: Job) -> Lease | None:
        """The devices of a job; None if they are not free now: then they are requested."""
        if self._leases is None:
            return Lease()

        def hear(text: str) -> None:
            if self._waiting:
                self._waiting[0][0].waiting_for = text
                self._say(text)

        return self._leases.take(job.run.id, self._ring, lambda text: self.do(lambda: hear(text)))

    def _start_job(self, job: Job, order: Order, lease: Lease, zygote: ZygoteProcess) -> None:
        slot = self._free_slots.pop(0)
        cores = ",".join(map(str, self._slots[slot].cores))
        job.place = " ".join(f"GPU {device.gpu_index}" for device in lease.devices) or f"CPU {cores}"
        job.waiting_for = None
        job.state = "running"
        self._number += 1
        place = self._running[self._number] = Place(job, slot, endings.log_size(job.run), lease.devices)
        placed = order.placed(lease, self._slots[slot])
        zygote.send({"start": self._number, "order": asdict(placed)}, [*lease.fds, place.error_file])
        lease.release()  # our copy: the sent descriptors keep the lease until the run's process ends

    def _hear_zygote(self) -> None:
        assert self._zygote is not None
        messages = self._zygote.receive()
        if messages is None:
            self._lose_zygote(self._zygote)
            return
        for message in messages:
            if "ready" in message:
                self._greet_zygote(message)
            elif "started" in message:
                self._deaths = 0
                place = self._running[message["started"]]
                place.pid, place.since = message["pid"], message["since"]
            elif "refused" in message:
                why = f"its process could not be started: {message['why']}"
                self._end(self._running.pop(message["refused"]), Ended(None, why, cause=cause_in(why)))
            else:
                place = self._running[message["ended"]]
                ended = endings.ended(place, message)
                del self._running[message["ended"]]
                if ended.signal is not None and ended.cause is Cause.BROKEN_DEVICE:  # otherwise, its process does it
                    endings.quarantine([device.uuid for device in place.devices], ended.reason)
                self._end(place, ended)

    def _greet_zygote(self, message: Message) -> None:
        if message["ready"] != self.isolation:
            self.isolation = message["ready"]
            self._say(f"runs start as fresh interpreters, which takes seconds each: {message['because']}")
        for note in message["notes"]:
            self._say(note)
        self.ready.set()

    def _end(self, place: Place, ended: Ended) -> None:
        self._free_slots.append(place.slot)
        os.close(place.error_file)
        place.job.end(ended)

    def _start_zygote(self) -> None:
        self.ready.clear()
        self._zygote = self._new_zygote(self.isolation)
        self._selector.register(self._zygote, selectors.EVENT_READ)

    def _lose_zygote(self, zygote: ZygoteProcess) -> None:
        """Handles the death of the zygote: its runs notice too, end at a checkpoint, and then their jobs are over."""
        self._selector.unregister(zygote)
        self._zygote = None
        why = zygote.death()
        for place in self._running.values():
            if place.pid is None:
                self._end(place, Ended(None, f"the zygote {why} before the run had started"))
            else:
                place.orphaned = f"the zygote that had started it {why}"
                place.kill_at = time.monotonic() + self._grace_s + 1
                self._orphans.append(place)
        self._running.clear()
        if self.why_closed is not None or self._killed:
            return
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS:
            because = f"cannot start processes for runs: the zygote {why}, {self._deaths} times in a row"
            self._say(because)
            self.close(because)
            return
        next_one = "another one takes its place"
        if self._deaths == _DEATHS_BEFORE_EXEC and not self.ready.is_set() and self.isolation == "fork":
            self.isolation = "exec"
            next_one = "runs start as fresh interpreters from now on, which takes seconds each"
        self._say(f"the zygote {why}; {next_one}")
        self._start_zygote()

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal must not end the runs
            self._tell(text)

    def _give_up(self, error: BaseException) -> None:
        """After a bug of ours: passes the error to those waiting for a job."""
        self.why_closed = f"the executor failed ({type(error).__name__}: {error})"
        if self._zygote is not None:
            self._zygote.finish()
        places = [*self._running.values(), *self._orphans]
        for job in [*(place.job for place in places), *(job for job, _ in self._waiting)]:
            if not job.done():
                job.future.set_exception(error)
