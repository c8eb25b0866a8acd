"""Programs of a test that talk to the stand-in of the W&B backend: a script, the wandb command line, an agent."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, TypeVar

from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.wandb.wandb_backend import WandbBackend
from training.tests.warm_commands import Warm, WarmProcess

T = TypeVar("T")

# System metrics only make a test's log longer.
NO_STATISTICS = {"WANDB_X_DISABLE_STATS": "true"}
# W&B stops a run by SIGINT, which a process ignores from birth where a shell started the tests in the background.
PRELUDE = "import os, signal, sys, time, wandb\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


class Printing:
    """What it prints goes into a file: a pipe that nobody reads fills up, and whoever prints into it stands still."""

    returncode: int | None
    _printed: Path

    def wait(self, timeout: float | None = None) -> int:
        raise NotImplementedError

    def poll(self) -> int | None:
        raise NotImplementedError

    def until(self, condition: Callable[[], T]) -> T:
        """What a condition says once that is true in Python's sense.

        Raises:
            AssertionError: it has ended before; with what it printed.
        """

        def found() -> T:
            has_ended = self.poll() is not None  # before a last look at what it did
            value = condition()
            assert value or not has_ended, self.last_words
            return value

        return wait_until(found)

    @property
    def last_words(self) -> str:
        """What it printed, of one that has ended too early."""
        return f"it ended too early, with {self.returncode}. It printed:\n{self.printed}"

    def ended(self, timeout_s: float = PATIENCE_S) -> str:
        """Its output, once it has ended in whatever way."""
        self.wait(timeout_s)
        return self.printed

    def succeed(self, timeout_s: float = PATIENCE_S) -> str:
        """Its output, once it has ended well."""
        output = self.ended(timeout_s)
        assert self.returncode == 0, output
        return output

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._printed.read_text(encoding="utf-8", errors="replace")


class Program(subprocess.Popen[str], Printing):
    """A command in the backend's folder. It ends with the backend at the latest.

    Args:
        environ: more for its environment.
        hurried: shorten W&B's own waiting.
    """

    def __init__(
        self,
        backend: WandbBackend,
        *command: str | Path,
        environ: Mapping[str, str] = MappingProxyType({}),
        hurried: bool = True,
    ) -> None:
        with _printed(backend) as printed:
            super().__init__(
                list(map(str, command)),
                env=_environ(backend, environ, hurried),
                cwd=backend.folder,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._printed = Path(printed.name)

    def wait(self, timeout: float | None = None) -> int:
        if self.stdin is not None:
            self.stdin.close()
        return super().wait(timeout)

    def wait_for(self, text: str) -> None:
        """Returns once it has printed this text."""
        self.until(lambda: text in self.printed)

    def tell(self) -> None:
        """Gives it a line to read."""
        assert self.stdin is not None
        self.stdin.write("\n")
        self.stdin.flush()


class WarmProgram(WarmProcess, Printing):
    """The same for a command of this project, in a fork of a process that has imported TensorFlow."""

    def __init__(self, backend: WandbBackend, warm: Warm, *argv: str, environ: Mapping[str, str]) -> None:
        with _printed(backend) as printed:
            super().__init__(
                warm.request(*argv, cwd=backend.folder, env=_environ(backend, environ, hurried=True), output=printed)
            )
        self._printed = Path(printed.name)


def _printed(backend: WandbBackend) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(dir=backend.folder, prefix="printed-", delete=False)


def _environ(backend: WandbBackend, more: Mapping[str, str], hurried: bool) -> dict[str, str]:
    base = backend.hurried_environ if hurried else backend.environ
    python_path = os.pathsep.join(filter(None, (base.get("PYTHONPATH"), more.get("PYTHONPATH"))))
    return {**base, **NO_STATISTICS, **more, **({"PYTHONPATH": python_path} if python_path else {})}


def script(backend: WandbBackend, text: str, name: str = "train.py") -> Path:
    """A Python script that has imported wandb."""
    path = backend.folder / name
    path.write_text(f"{PRELUDE}{text}", encoding="utf-8")
    return path


def run_script(backend: WandbBackend, text: str, **environ: str) -> str:
    return Program(backend, sys.executable, script(backend, text), environ=environ).succeed()


def wandb(backend: WandbBackend, *arguments: str | Path, **environ: str) -> str:
    """The output of one command of the wandb command line."""
    return Program(backend, "wandb", *arguments, environ=environ).succeed()
