"""Sessions: the processes that descend from a run's process, unless they made a session of their own."""

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator

from training.files import processes

_PATIENCE_S, _TIME_TO_STOP_S = 5.0, 0.5


def kill_session(leader: int) -> None:
    """Kills all processes of a session, suspended ones and all process groups included.

    The leader must be alive or not reaped yet: otherwise its number could be another process's by now.
    """
    _kill_sessions({leader})


def kill_with_children(pid: int) -> None:
    """Kills a process with its session, and those of its children. The same holds of it as of a leader."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # it starts no more, and reaps none, so that their numbers stay theirs
    until = time.monotonic() + _TIME_TO_STOP_S
    while processes.state(pid) in ("R", "S") and time.monotonic() < until:
        time.sleep(0.001)
    _kill_sessions({pid, *(child for child, parent, _ in _alive() if parent == pid)})


def _kill_sessions(leaders: Collection[int]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while members := list(_members(leaders)):  # again: one may have forked between the look and the signal
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:  # in uninterruptible sleep: it dies when it wakes
            return
        time.sleep(0.001)


def _members(leaders: Collection[int]) -> Iterator[int]:
    if not processes.PROC.exists():  # on this system the process groups have to do
        for leader in leaders:
            with contextlib.suppress(OSError):
                os.killpg(leader, signal.SIGKILL)
    return (pid for pid, _, session in _alive() if session in leaders)


def _alive() -> Iterator[tuple[int, int, int]]:
    """Number, parent and session of all processes but those that have ended and were not reaped."""
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{entry.name}/stat", "rb") as file:
                    state, parent, _, session = file.read().rpartition(b")")[2].split()[:4]
                    if state not in (b"Z", b"X"):
                        yield int(entry.name), int(parent), int(session)
