"""Sessions: the processes that descend from a run's process, unless they made a session of their own."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

_PATIENCE_S = 5.0


def kill_session(leader: int) -> None:
    """Kills all processes of a session, also those in process groups of their own.

    The leader must not have been reaped, or be known to be alive: its number could be another process's by now.
    """
    until = time.monotonic() + _PATIENCE_S
    while members := list(_members(leader)):  # again: one may have forked between the look and the signal
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:  # in uninterruptible sleep: it dies when it wakes
            return
        time.sleep(0.001)


def _members(session: int) -> Iterator[int]:
    """Processes of a session that are alive, those that have ended but were not reaped left out."""
    try:
        numbers = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal()]
    except OSError:  # no /proc on this system: the process group has to do
        with contextlib.suppress(OSError):
            os.killpg(session, signal.SIGKILL)
        return
    for pid in numbers:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, _, _, of = file.read().rpartition(b")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state not in (b"Z", b"X"):
            yield pid
