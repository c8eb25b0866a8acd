"""How the process of a run ended, from the zygote's report and the run's files; quarantine of devices that failed."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from text_recognizer.errors import RunError, TextRecognizerError
from training.attempts.causes import EXIT_OUT_OF_MEMORY, cause_of, says_broken_device, says_out_of_memory
from training.devices.device import Device
from training.devices.gpu_manager import GPUManager
from training.executors.base import Ended, Job
from training.files import processes
from training.files.processes import kill_session
from training.runs.causes import Cause, known_cause
from training.runs.run import Run
from training.terminal.command_line import say

# Followed by a traceback of all threads.
_LAST_WORDS_BYTES = 1 << 16
_CRASH_CHARACTERS = 4000  # of the log, in which a C++ library says why it aborts


def ended(place: "Place", report: dict[str, Any]) -> Ended:
    """How the process of a job ended, from the zygote's "ended" message."""
    status = int(report["status"])
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = os.waitstatus_to_exitcode(status) if number is None else None
    said = _last_words(place.job.run, place.log_size_before)
    # A C++ library that runs out of memory calls abort().
    aborted = number == signal.SIGABRT and says_out_of_memory(said)
    out_of_memory = bool(report["killed_for_memory"]) or code == EXIT_OUT_OF_MEMORY or aborted
    error = place.error()
    cause = known_cause(error.get("cause"))
    if cause is not Cause.FULL_DISK and code != 0 and says_broken_device(said[-_CRASH_CHARACTERS:]):
        cause = Cause.BROKEN_DEVICE
    if number is None:
        reason = after_exit(place.job.run, code, error.get("message", ""))
    else:
        reason = _after_signal(number, report, out_of_memory)
    return Ended(
        exit_code=code,
        reason=reason,
        signal=number,
        out_of_memory=out_of_memory,
        cause=cause,
        **{key: report[key] for key in ("wall_s", "cpu_s", "peak_memory_mib")},
    )


def _after_signal(number: int, report: dict[str, Any], out_of_memory: bool) -> str:
    if report["killed"]:
        return str(report["killed"])
    if report["killed_for_memory"]:
        return "killed by the kernel: the machine, or the control group, was out of memory"
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"ended by {name}: a library got no memory" if out_of_memory else f"ended by {name}"


def after_exit(run: Run, code: int | None, error: str = "") -> str:
    """The run's own status; for a process that never reached the run, the error that ended it."""
    try:
        status = run.status()
    except RunError as gone:
        return f"exit code {code}: {gone}"
    if code == 0 or status.error is not None:
        return f"{status.state}: {status.error}" if status.error else status.state
    return f"exit code {code}: " + (error or f"see {run.folder / 'log.txt'}")


def log_size(run: Run) -> int:
    """Size of the log of a run before this attempt, in bytes."""
    try:
        return (run.folder / "log.txt").stat().st_size
    except OSError:
        return 0


def _last_words(run: Run, start: int) -> str:
    try:
        with open(run.folder / "log.txt", "rb") as file:
            file.seek(max(start, os.fstat(file.fileno()).st_size - _LAST_WORDS_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def blaming(devices: Sequence[Device]) -> Iterator[None]:
    """Around a run on these devices: puts them into quarantine if it fails because one is broken."""
    try:
        yield
    except Exception as error:
        if cause_of(error) is Cause.BROKEN_DEVICE:
            quarantine([device.uuid for device in devices], f"{type(error).__name__}: {error}")
        raise


def quarantine(uuids: Sequence[str], reason: str) -> None:
    """Puts devices of this machine into quarantine."""
    for uuid in uuids:
        try:
            GPUManager().quarantine(uuid, reason)
        except (TextRecognizerError, OSError) as error:
            say(f"warning: {uuid} cannot be put into quarantine: {error}")


@dataclass(eq=False)
class Place:
    """A running job.

    Args:
        slot: its cores.
        log_size_before: size of its log before this attempt, in bytes.
        devices: its devices.
        error_file: descriptor of a file in memory, into which its process writes the error that ends it; see trial.py.
        pid: its process id; `since` distinguishes it from a later process with that id. None until reported.
        orphaned: how its zygote ended, if it did. The run notices, and ends at a checkpoint.
        kill_at: deadline of an orphan.
    """

    job: Job
    slot: int
    log_size_before: int
    devices: Sequence[Device] = ()
    error_file: int = field(default_factory=lambda: os.memfd_create("error"))
    pid: int | None = None
    since: int | None = None
    orphaned: str | None = None
    kill_at: float = float("inf")

    def error(self) -> dict[str, Any]:
        """The message and cause of the error that ended its process; nothing if there was none."""
        told = os.pread(self.error_file, os.fstat(self.error_file).st_size, 0)
        return dict(json.loads(told)) if told else {}

    def is_gone(self) -> bool:
        """Whether an orphan has ended; kills it at its deadline."""
        overdue = time.monotonic() >= self.kill_at
        if self._is_running():
            if overdue:
                self.kill()
            return False
        # Its first thread may end before the others, which keep its files open.
        return overdue or not self._is_held()

    def kill(self) -> None:
        if self.pid is not None and self._is_running():
            kill_session(self.pid)

    def _is_running(self) -> bool:
        return self.pid is not None and processes.is_running(self.pid, self.since)

    def _is_held(self) -> bool:
        try:
            return self.job.run.status().state == "running"
        except RunError:  # the folder was removed
            return False
