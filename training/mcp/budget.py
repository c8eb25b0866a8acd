"""Budget: the runs and minutes that a server may start; what it has started, and what is left."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from text_recognizer.errors import RunError
from training.mcp.keeper import minutes_of, rows_at

_LAST_BYTES = 2000


@dataclass
class Started:
    """A run or a sweep started by the server.

    Args:
        place: its folder, which exists once its data and devices are ready.
        runs, minutes: the maximum it may use.
        output: its output.
    """

    place: Path
    runs: int
    minutes: float
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    _used: tuple[int, float] | None = None

    @property
    def is_at_work(self) -> bool:
        return self.process.poll() is None

    def used(self) -> tuple[int, float]:
        """Used runs and minutes; while it is running, its maximum."""
        if self._used is None:
            at_work = self.is_at_work  # before its runs are read
            rows = rows_at(self.place)
            if at_work:
                return self.runs, max(self.minutes, minutes_of(rows))
            self._used = len(rows), minutes_of(rows)
        return self._used

    def last_lines(self) -> str:
        """The end of its output."""
        end = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), _LAST_BYTES, max(0, end - _LAST_BYTES)).decode(errors="replace").strip()


@dataclass
class Budget:
    """A number of runs and minutes, for the lifetime of the server."""

    runs: int = 0
    minutes: float = 0.0
    started: list[Started] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self) -> dict[str, float]:
        used = [one.used() for one in self.started]
        runs, minutes = sum(one for one, _ in used), sum(one for _, one in used)
        return {"runs_left": max(0, self.runs - runs), "minutes_left": round(max(0.0, self.minutes - minutes), 2)}

    def check(self, runs: int, minutes: float) -> None:
        """Checks that this much is left. Raises RunError: it is not."""
        left = self.left()
        for name, asked in (("runs", runs), ("minutes", minutes)):
            if asked > (rest := left[f"{name}_left"]):
                raise RunError(
                    f"the budget has {rest:g} of {getattr(self, name):g} {name} left, and {asked:g} are requested. "
                    f"Running work counts in full until it ends. Request less, or wait; only the person who starts the "
                    f"server can raise it: text-recognizer mcp --runs N --minutes M"
                )

    def start(self, place: Path, runs: int, minutes: float, arguments: Sequence[str]) -> None:
        """Starts Python with arguments, in its own session. Raises RunError: too little is left."""
        with self._lock:
            self.check(runs, minutes)
            output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
            keeper = [sys.executable, "-m", "training.mcp.keeper", str(place), str(minutes), *arguments]
            process = subprocess.Popen(
                keeper, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
            self.started.append(Started(place, runs, minutes, process, output))
