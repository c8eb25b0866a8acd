"""Programs of a test that talk to the stand-in of the W&B backend: a script, the wandb command line, an agent."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.wandb_backend import WandbBackend

# System metrics only make a test's log longer.
NO_STATISTICS = {"WANDB_X_DISABLE_STATS": "true"}
# W&B stops a run by SIGINT, which a process ignores from birth where a shell started the tests in the background.
PRELUDE = "import os, signal, sys, time, wandb\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


class Program(subprocess.Popen[str]):
    """A command in the backend's folder. It ends with the backend at the latest.

    What it prints goes into a file: a pipe that nobody reads fills up, and whoever prints into it stands still.

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
        base = backend.hurried_environ if hurried else backend.environ
        python_path = os.pathsep.join(filter(None, (base.get("PYTHONPATH"), environ.get("PYTHONPATH"))))
        with tempfile.NamedTemporaryFile(dir=backend.folder, prefix="printed-", delete=False) as printed:
            super().__init__(
                list(map(str, command)),
                env={**base, **NO_STATISTICS, **environ, **({"PYTHONPATH": python_path} if python_path else {})},
                cwd=backend.folder,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._printed = Path(printed.name)

    def ended(self, timeout_s: float = PATIENCE_S) -> str:
        """Its output, once it has ended in whatever way."""
        self.communicate(timeout=timeout_s)
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

    def wait_for(self, text: str) -> None:
        """Returns once it has printed this text."""
        wait_until(lambda: self.poll() is not None or text in self.printed)
        assert text in self.printed, self.printed

    def tell(self) -> None:
        """Gives it a line to read."""
        assert self.stdin is not None
        self.stdin.write("\n")
        self.stdin.flush()


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
