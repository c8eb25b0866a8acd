"""log.txt: all output of a process, including C++ libraries and crashes, on the screen and in the run folder."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class LogFile:
    """Copies file descriptors 1 and 2 into a log within the block.

    A `tee` in its own session does the copying: it outlives a crash of this process to write the last lines. Signals to
    our process group, or to all processes, as sent by Slurm and systemd, do not end it, except SIGKILL. If the reader
    of our output exits (`| head`), the log continues. If the descriptors are already the log, nothing is done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: list[int] = []
        self._tees: list[subprocess.Popen[bytes]] = []
        self._log: IO[bytes] | None = None
        self.terminal: TextIO | None = None

    def __enter__(self) -> "LogFile":
        self._log = open(self._path, "ab", buffering=0)
        _flush()
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self.terminal = os.fdopen(os.dup(2), "w", encoding="utf-8")
        tee = None if _is_open_as(self._log, 1) else shutil.which("tee")
        for number in (1, 2) if tee else ():
            self._saved.append(os.dup(number))
            held = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # inherited by the new process
            try:
                copier = subprocess.Popen(
                    [str(tee), "-a", str(self._path)],
                    stdin=subprocess.PIPE,
                    stdout=self._saved[-1],
                    start_new_session=True,
                    restore_signals=False,  # SIGPIPE stays ignored, as in Python: a reader that has exited is ignored
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
            assert copier.stdin is not None
            os.dup2(copier.stdin.fileno(), number)
            copier.stdin.close()
            self._tees.append(copier)
        return self

    def __exit__(self, *_: object) -> None:
        _flush()
        for number, saved in zip((1, 2), self._saved, strict=False):
            os.dup2(saved, number)
            os.close(saved)
        for copier in self._tees:
            copier.wait()
        for number in (1, 2)[: len(self._saved)]:
            _silence_if_unread(number)
        if self.terminal is not None:
            self.terminal.close()
        if self._log is not None:
            self._log.close()

    def write(self, text: str) -> None:
        """Writes into the log only."""
        if self._log is not None:
            self._log.write(text.encode(errors="backslashreplace"))

    @contextlib.contextmanager
    def errors_to_log_only(self) -> Iterator[None]:
        """Hides standard error from the screen; it stays in the log."""
        assert self._log is not None
        with _standard_error_to(self._log.fileno()):
            yield


@contextlib.contextmanager
def standard_error_off() -> Iterator[None]:
    """Discards standard error: start-up notes of libraries that cannot be disabled otherwise."""
    with open(os.devnull, "wb") as nowhere, _standard_error_to(nowhere.fileno()):
        yield


@contextlib.contextmanager
def _standard_error_to(descriptor: int) -> Iterator[None]:
    _flush()
    saved = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        _flush()
        os.dup2(saved, 2)
        os.close(saved)


def _silence_if_unread(descriptor: int) -> None:
    """Redirects a pipe without a reader to /dev/null: output after a run must not make it fail."""
    poll = select.poll()
    poll.register(descriptor, 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _is_open_as(file: IO[bytes], descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.fstat(file.fileno()))
    except OSError:  # closed by the parent
        return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
