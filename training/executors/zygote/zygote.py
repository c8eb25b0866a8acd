"""The zygote: a process that has imported everything that runs need, and forks a fresh process for each of them.

It has no other purpose, owns no eager context and no device, has one thread, and communicates with its driver over a
socket. If it must not fork, it starts fresh interpreters instead. When its driver dies, for any reason, it lets the
runs reach a checkpoint, kills those that do not in time, and exits.

    driver -> zygote   {"start": number, "order": …} with the descriptors of the lease and, last, of the file for the
                       error that ends the run; {"kill": number}; end of file
    zygote -> driver   {"ready": "fork" | "exec", "because": why not fork, "notes": […]}
                       {"started": number, "pid": …}   {"refused": number, "why": …}
                       {"ended": number, "status": …, "wall_s": …, "cpu_s": …, …}
"""

import atexit
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from training.executors.zygote.order import Order, python_path
from training.executors.zygote.zygote_process import Channel, zygote_command
from training.files import processes
from training.files.processes import kill_session

# Signals handled by the zygote; a run's process starts with the default handlers.
SIGNALS = (signal.SIGCHLD, signal.SIGTERM)


@dataclass
class _Trial:
    """A run's process.

    Args:
        oom_kills: the kernel's count of out-of-memory kills at its start.
        killed: why this zygote killed it; "" if it did not.
        kill_at: its deadline.
    """

    number: int
    pid: int
    started: float
    oom_kills: int
    killed: str = ""
    kill_at: float = float("inf")


class Zygote:
    """Starts processes, watches them, and reports their ends.

    Args:
        forks: whether this process may fork.
        grace_s: time between asking the runs to end and killing them.
        driver: process id of the driver.
    """

    def __init__(self, channel: Channel, forks: bool, grace_s: float, driver: int) -> None:
        self._channel = channel
        self._forks = forks
        self._grace_s = grace_s
        self._driver = driver
        self._trials: dict[int, _Trial] = {}
        self._ending = False
        self._explained_oom_kills = 0
        # Nothing is written to it. The runs read from it, and get end of file when this process dies.
        self._lifeline, self._lifeline_end = os.pipe()
        os.set_inheritable(self._lifeline, True)
        self._signals, self._signals_end = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Runs until the driver has died or closed, and the last run has ended."""
        self._signals_end.setblocking(False)
        signal.set_wakeup_fd(self._signals_end.fileno())
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._channel, selectors.EVENT_READ, self._read_channel)
        self._selector.register(self._signals, selectors.EVENT_READ, self._read_signals)
        self._watch_driver()
        while self._trials or not self._ending:
            due = min((trial.kill_at for trial in self._trials.values()), default=float("inf"))
            timeout_s = None if due == float("inf") else max(0.0, due - time.monotonic())
            for key, _ in self._selector.select(timeout_s):
                key.data()
            for trial in self._trials.values():
                if time.monotonic() >= trial.kill_at:
                    trial.kill_at = float("inf")
                    why = f"it came to no checkpoint within {self._grace_s:g} s of being asked to end"
                    self._kill(trial, f"killed: {why}")

    def _read_channel(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            self._lose_driver()
            return
        for message, descriptors in messages:
            if "start" in message:
                self._start_trial(message["start"], Order(**message["order"]), descriptors)
            elif (trial := self._trials.get(message["kill"])) is not None:
                self._kill(trial, "killed on request")

    def _watch_driver(self) -> None:
        """Checks the driver's process: its other children may have inherited its end of the channel."""
        with contextlib.suppress(OSError):
            self._selector.register(os.pidfd_open(self._driver), selectors.EVENT_READ, self._lose_driver)
        if os.getppid() != self._driver:  # it died while this process imported; its process id may be reused
            self._lose_driver()

    def _lose_driver(self) -> None:
        for watched in list(self._selector.get_map().values()):
            if watched.data in (self._lose_driver, self._read_channel):
                self._selector.unregister(watched.fileobj)
        self._end()

    def _read_signals(self) -> None:
        received = self._signals.recv(1 << 12)
        if signal.SIGTERM in received:
            self._end()
        for trial in list(self._trials.values()):  # several children may have ended for one SIGCHLD
            if os.waitid(os.P_PID, trial.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                self._bury(trial)

    def _start_trial(self, number: int, order: Order, descriptors: Sequence[int]) -> None:
        oom_kills = count_oom_kills()
        started = time.monotonic()
        try:
            if self._ending:
                raise InterruptedError("the zygote is ending")
            if self._forks:
                own = [self._selector.fileno(), self._signals_end.fileno(), self._lifeline_end]
                own += [key.fd for key in self._selector.get_map().values()]
                pid = fork_trial(order, descriptors, self._lifeline, own)
            else:
                pid = execute_trial(order, descriptors, self._lifeline)
        except OSError as error:
            self._report({"refused": number, "why": str(error)})
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._trials[number] = _Trial(number, pid, started, oom_kills)
        self._report({"started": number, "pid": pid, "since": processes.started_at(pid)})

    def _bury(self, trial: _Trial) -> None:
        """Kills what is left of a run's session, then reports its end."""
        del self._trials[trial.number]
        kill_session(trial.pid)
        _, status, usage = os.wait4(trial.pid, 0)
        wall_s, cpu_s = time.monotonic() - trial.started, usage.ru_utime + usage.ru_stime
        killed = {"killed": trial.killed, "killed_for_memory": self._was_killed_for_memory(trial, status)}
        taken = {"wall_s": wall_s, "cpu_s": cpu_s, "peak_memory_mib": usage.ru_maxrss / 2**10}
        self._report({"ended": trial.number, "status": status, **taken, **killed})

    def _was_killed_for_memory(self, trial: _Trial, status: int) -> bool:
        """Whether the kernel killed it: a SIGKILL that we did not send, while the kernel's count of these increased."""
        if trial.killed or not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return False
        before = max(trial.oom_kills, self._explained_oom_kills)
        if count_oom_kills() <= before:
            return False
        self._explained_oom_kills = before + 1
        return True

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        for trial in self._trials.values():
            trial.kill_at = time.monotonic() + self._grace_s
            with contextlib.suppress(ProcessLookupError):
                os.kill(trial.pid, signal.SIGTERM)

    def _kill(self, trial: _Trial, why: str) -> None:
        trial.killed = trial.killed or why
        kill_session(trial.pid)

    def _report(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a dead driver needs no report: the result is in the run's folder
            self._channel.send(message)


def fork_trial(order: Order, descriptors: Sequence[int], lifeline: int, not_to_keep: Sequence[int]) -> int:
    """Forks a run's process, which inherits the descriptors of its lease, but closes `not_to_keep`."""
    # A signal that arrives before the child has its own handlers must not be lost in the zygote's.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _become_trial(order, descriptors[-1], lifeline, not_to_keep)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return pid


def _become_trial(order: Order, error_file: int, lifeline: int, not_to_keep: Sequence[int]) -> NoReturn:
    try:
        from training.executors.zygote.trial import live  # already imported by preload()

        os.setsid()
        atexit._clear()
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for descriptor in not_to_keep:
            os.close(descriptor)
        live(order, lifeline, error_file)
    finally:
        os._exit(1)  # never return into the zygote's loop


def execute_trial(order: Order, descriptors: Sequence[int], lifeline: int) -> int:
    """Starts a run in a fresh interpreter, with the files of its lease open."""
    with tempfile.TemporaryFile() as text:
        text.write(json.dumps(asdict(order)).encode())
        text.seek(0)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        command = [sys.executable, "-P", "-m", "training.executors.zygote.trial"]
        # Not subprocess: it would reap the process unnoticed when the next one is started.
        return os.posix_spawn(
            sys.executable,
            [*command, order.run_folder, str(lifeline), str(descriptors[-1])],
            {**order.environ, "PYTHONPATH": python_path()},
            file_actions=[(os.POSIX_SPAWN_DUP2, text.fileno(), 0)],
            setsid=True,
            setsigdef=[signal.SIGINT, *SIGNALS],
        )


def count_oom_kills() -> int:
    """The kernel's count of out-of-memory kills on this machine, including those in control groups."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def main() -> NoReturn:
    options = json.loads(sys.argv[1])  # see ZygoteProcess
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    notes: list[str] = []
    if options["isolation"] == "fork":
        obstacle, notes = _prepare_to_fork(options["preload"])
        if obstacle is not None:  # it becomes a small process with the same id, which keeps the socket
            command = zygote_command({**options, "isolation": "exec", "because": obstacle})
            os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    os.set_inheritable(options["channel"], False)
    channel = Channel(socket.socket(fileno=options["channel"]))
    with contextlib.suppress(OSError):  # the driver may have died, which is noticed below
        channel.send({"ready": options["isolation"], "because": options["because"], "notes": notes})
    Zygote(channel, options["isolation"] == "fork", options["grace_s"], options["driver"]).serve()
    os._exit(0)  # nothing to tear down


def _prepare_to_fork(modules: Sequence[str]) -> tuple[str | None, list[str]]:
    from training.executors.zygote.preloading import obstacle_to_forking, preload

    try:
        if (obstacle := obstacle_to_forking()) is not None:  # known before TensorFlow takes seconds to import
            return obstacle, []
        notes = preload(modules)
        return obstacle_to_forking(), notes
    except Exception as error:  # noqa: BLE001 - fresh interpreters may still work
        return f"{type(error).__name__}: {error}", []


if __name__ == "__main__":
    main()
