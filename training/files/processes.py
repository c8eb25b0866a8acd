"""What /proc says about the processes of this machine; and sessions of them, to be killed whole.

A session is what descends from a process that began one, unless it began another.
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
# The number that Linux gives the first process namespace (PROC_PID_INIT_INO in linux/proc_ns.h).
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


@functools.cache
def pid_namespace() -> str:
    """Names the space that this process's numbers are of; a container usually has its own."""
    try:
        return str((PROC / "self" / "ns" / "pid").readlink())
    except OSError:
        return "unknown"


def sees_all_processes() -> bool:
    """False in a container with its own process numbers, where NVML lists other processes wrongly or not at all."""
    return pid_namespace() == _FIRST_PID_NAMESPACE


def is_running(pid: int, started: int | None) -> bool:
    """Whether the process of that number that started then is alive; also for processes that /proc hides."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat(pid)
    return not fields or (fields[0] not in "ZX" and started in (None, int(fields[19])))


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with the number it identifies a process. None: gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_suspended(pid: int) -> bool:
    """Whether a process was stopped by a signal (Ctrl-Z) and not resumed."""
    return state(pid) == "T"


def state(pid: int) -> str | None:
    """The letter by which Linux tells what a process is doing; None: gone."""
    return next(iter(_stat(pid)), None)


def ancestry(pid: int) -> Iterator[int]:
    """A process, its parent, its parent's parent …, as far as they can be seen."""
    while pid > 0:
        fields = _stat(pid)
        if not fields:
            return
        yield pid
        pid = int(fields[1])


def user_name(uid: int | None = None) -> str:
    """The name of a user (by default of this process), or the number where it has none."""
    uid = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def printable(text: str) -> str:
    """What others wrote, for a terminal: nothing that would steer it, and not too much."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:201])
    return shown if len(shown) <= 200 else shown[:199] + "…"


def described(pid: int) -> str:
    """A process for people: pid 123 (alice: python train.py)."""
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
    """Whether a process holds a file open. False also for a process of another user, which only root may look into."""
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
    """How often a file is locked jointly (flock), as far as can be seen from here: each time by another opening."""
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    return sum(parts[1::2][:2] == ["FLOCK", "READ"] and parts[5] == place for parts in _locks())


def described_owners(inode: int) -> str:
    """The processes that locked a file, by its inode; their children may be the ones that hold it now."""
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

    The leader must be alive or not reaped yet: otherwise its number could be another process's by now.
    """
    _kill_sessions({leader})


def kill_with_children(pid: int) -> None:
    """Kills a process with its session, and those of its children. The same holds of it as of a leader."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # it starts no more, and reaps none, so that their numbers stay theirs
    until = time.monotonic() + _TIME_TO_STOP_S
    while state(pid) in ("R", "S") and time.monotonic() < until:
        time.sleep(0.001)
    _kill_sessions({pid, *(child for child in _numbers() if (fields := _living(child)) and int(fields[1]) == pid)})


def _kill_sessions(leaders: Collection[int]) -> None:
    until = time.monotonic() + _PATIENCE_S
    # Again: one may have forked between the look and the signal.
    while members := [pid for pid in _numbers() if _session(pid) in leaders and _living(pid)]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:  # in uninterruptible sleep: it dies when it wakes
            return
        time.sleep(0.001)


def _session(pid: int) -> int | None:
    """Asked of the kernel, which takes a tenth of the time of a look into /proc: a machine may have many processes."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _living(pid: int) -> list[str]:
    """What _stat says of a process; nothing where it has ended, reaped or not."""
    fields = _stat(pid)
    return fields if fields and fields[0] not in "ZX" else []


def _numbers() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - only names
