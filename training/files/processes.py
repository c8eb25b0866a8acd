"""Information on processes from /proc, and killing of whole sessions.

A session consists of the descendants of a process that started one, unless they started another.
"""

import contextlib
import functools
import os
import pwd
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

PROC = Path("/proc")
# The inode of the initial process namespace (PROC_PID_INIT_INO in linux/proc_ns.h).
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


@functools.cache
def pid_namespace() -> str:
    """Identifies this process's process id namespace; a container usually has its own."""
    try:
        return str((PROC / "self" / "ns" / "pid").readlink())
    except OSError:
        return "unknown"


def sees_all_processes() -> bool:
    """False in a container with its own process ids, where NVML lists other processes wrongly or not at all."""
    return pid_namespace() == _FIRST_PID_NAMESPACE


def is_running(pid: int, started: int | None) -> bool:
    """Whether the process with this id and start time is alive; also for processes hidden in /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat(pid)
    return not fields or (fields[0] not in "ZX" and started in (None, int(fields[19])))


def started_at(pid: int) -> int | None:
    """Start of a process in clock ticks since boot, which with its id identifies a process. None: it has ended."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_suspended(pid: int) -> bool:
    """Whether a process was stopped by a signal (Ctrl-Z) and not resumed."""
    return state(pid) == "T"


def state(pid: int) -> str | None:
    """The letter of a process's state in Linux; None: it has ended."""
    return next(iter(_stat(pid)), None)


def ancestry(pid: int) -> Iterator[int]:
    """A process and its ancestors, as far as visible."""
    while pid > 0:
        fields = _stat(pid)
        if not fields:
            return
        yield pid
        pid = int(fields[1])


def user_name(uid: int | None = None) -> str:
    """The name of a user (by default of this process), or the user id if there is none."""
    uid = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def printable(text: str) -> str:
    """Foreign text made safe for a terminal: without control sequences, and shortened."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:201])
    return shown if len(shown) <= 200 else shown[:199] + "…"


def described(pid: int) -> str:
    """A process in words: pid 123 (alice: python train.py)."""
    folder = PROC / str(pid)
    try:
        owner = user_name(folder.stat().st_uid)
        words = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"pid {pid} (not visible from here)"
    command = " ".join(Path(word.decode(errors="replace")).name for word in words if word)
    shortened = command if len(command) <= 40 else command[:39] + "…"
    return f"pid {pid} ({owner}{': ' + printable(shortened) if shortened else ''})"


def has_open(pid: int, device_and_inode: tuple[int, int]) -> bool:
    """Whether a process has a file open. Also False for a process of another user, which only root can inspect."""
    try:
        descriptors = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            found = descriptor.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == device_and_inode:
            return True
    return False


def count_shared_locks(about: os.stat_result) -> int:
    """The number of shared locks (flock) of a file, as far as visible, one per open file description."""
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    return sum(parts[1::2][:2] == ["FLOCK", "READ"] and parts[5] == place for parts in _locks())


def described_owners(inode: int) -> str:
    """The processes that locked a file, by its inode; their children may hold it now."""
    owners = (int(parts[4]) for parts in _locks() if parts[5].endswith(f":{inode}"))
    return ", ".join(map(described, owners)) or "an unknown process"


def _locks() -> list[list[str]]:
    """The lines of /proc/locks: number, kind, -, READ or WRITE, process, device and inode."""
    try:
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return []
    return [parts for line in lines if len(parts := line.split()) >= 6]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (the second, the name, may hold blanks and brackets)."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


_PATIENCE_S, _TIME_TO_STOP_S = 5.0, 0.5


def kill_session(leader: int) -> None:
    """Kills all processes of a session, suspended ones and all process groups included.

    The leader must be alive or not yet reaped: otherwise its process id could be reused.
    """
    _kill_sessions({leader})


def kill_with_children(pid: int) -> None:
    """Kills a process with its session, and those of its children. It must be alive or not yet reaped."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # so that it neither starts nor reaps children, and their ids stay valid
    until = time.monotonic() + _TIME_TO_STOP_S
    while state(pid) in ("R", "S") and time.monotonic() < until:
        time.sleep(0.001)
    _kill_sessions({pid, *(child for child in _numbers() if (fields := _living(child)) and int(fields[1]) == pid)})


def _kill_sessions(leaders: Collection[int]) -> None:
    until = time.monotonic() + _PATIENCE_S
    # Again: one may have forked between listing and signal.
    while members := [pid for pid in _numbers() if _session(pid) in leaders and _living(pid)]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:  # in uninterruptible sleep: it dies when it wakes
            return
        time.sleep(0.001)


def _session(pid: int) -> int | None:
    """Uses a system call, which takes a tenth of the time of reading /proc: a machine may have many processes."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _living(pid: int) -> list[str]:
    """_stat of a process; empty if it has ended, reaped or not."""
    fields = _stat(pid)
    return fields if fields and fields[0] not in "ZX" else []


def _numbers() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - only names
