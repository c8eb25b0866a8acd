"""A stand-in of the W&B backend on loopback, which the real wandb client, its command line and its agent accept.

    def test_something(wandb_backend):
        subprocess.run([sys.executable, "train.py"], env=wandb_backend.environ, check=True)
        assert wandb_backend.runs["abc"].history == [...]

What it was told is there as plain values: `runs`, `artifacts`, `sweeps`, `requests`. What it does not understand it
answers with 400 and notes in `unknown`, and the test fails. It can be made to fail, to be slow and to vanish.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.wandb.wandb_backend_http import Faults, Request, Server
from training.tests.wandb.wandb_backend_records import StoredArtifact, StoredRun, StoredSweep
from training.tests.wandb.wandb_backend_state import Store
from training.tests.wandb.wandb_backend_suggestions import suggest_grid, warn_of_the_obvious

if TYPE_CHECKING:
    from training.tests.wandb.wandb_backend_programs import Printing

HURRY = Path(__file__).with_name("wandb_backend_hurry")
# In the environment of all that belongs to one backend.
MARK = "WANDB_STAND_IN"
_LOOK_EVERY_S = 0.2
KEY = "0123456789abcdef0123456789abcdef01234567"


class WandbBackend:
    """A backend that serves from its creation to `close`.

    Its judgement about sweeps can be replaced: `store.suggest`, `store.validate`, `store.early_terminate`.
    `environ` is the environment for programs that shall use it.

    Args:
        folder: everything the clients write is below it.
    """

    def __init__(self, folder: Path) -> None:
        self.store = Store(suggest_grid, warn_of_the_obvious, early_terminate=lambda sweep: ())
        self._server = Server(self.store, KEY)
        self._server.start()
        self.folder = folder
        self.environ = self._environment()

    # What it was told

    @property
    def url(self) -> str:
        return self.store.url

    @property
    def runs(self) -> dict[str, StoredRun]:
        """By id. Runs of several projects that share an id are named entity/project/id."""
        every = list(self.store.all_runs.values())
        ids = [run.id for run in every]
        return {run.id if ids.count(run.id) == 1 else f"{run.entity}/{run.project}/{run.id}": run for run in every}

    @property
    def artifacts(self) -> dict[str, StoredArtifact]:
        """The committed ones, by collection and version: "digits:v0"."""
        return {
            artifact.name: artifact for artifact in self.store.all_artifacts.values() if artifact.version is not None
        }

    @property
    def sweeps(self) -> dict[str, StoredSweep]:
        return self.store.sweeps

    @property
    def requests(self) -> list[Request]:
        """All that came, in order, also what was made to fail."""
        return list(self._server.requests)

    @property
    def operations(self) -> list[str]:
        """Names of the GraphQL operations answered, in order."""
        return [request.name for request in self.requests if request.kind == "graphql" and request.status == 200]

    @property
    def unknown(self) -> list[str]:
        """What it did not understand. Not empty at the end, it fails the test."""
        return self._server.unknown

    def wait_until(
        self, condition: Callable[[], object], timeout_s: float = PATIENCE_S, program: "Printing | None" = None
    ) -> None:
        """Returns once a condition on what it was told holds; looked at after each request.

        Args:
            program: what must be alive until then.
        Raises:
            TimeoutError: it does not, within the time.
            AssertionError: the program has ended before; with what it printed.
        """
        until = time.monotonic() + timeout_s
        has_ended = False
        while not self._server.wait_until(condition, 0 if has_ended else min(_LOOK_EVERY_S, timeout_s)):
            assert program is None or not has_ended, program.last_words
            has_ended = program is not None and program.poll() is not None
            if time.monotonic() < until:
                continue
            last = ", ".join(f"{request.name} {request.status}" for request in self.requests[-10:])
            unknown = f"; not understood: {self.unknown}" if self.unknown else ""
            raise TimeoutError(f"not within {timeout_s:g} s; the last requests were: {last or 'none'}{unknown}")

    # What it does

    @property
    def faults(self) -> Faults:
        return self._server.faults

    @property
    def fail_rate(self) -> float:
        """The share of requests that fail at random, by status 500, 429, or a connection that breaks."""
        return self._server.faults.rate

    @fail_rate.setter
    def fail_rate(self, rate: float) -> None:
        self._server.faults.rate = rate

    @property
    def delay_s(self) -> float:
        """How long each answer takes."""
        return self._server.faults.delay_s

    @delay_s.setter
    def delay_s(self, seconds: float) -> None:
        self._server.faults.delay_s = seconds

    def vanish(self) -> None:
        """Breaks all connections and refuses new ones."""
        self._server.stop()

    def return_(self) -> None:
        """Serves again, at the same address and with all it knew."""
        self._server.start()

    def stop(self, run_id: str) -> None:
        """What "Stop run" in the browser does: the next answer to the run says so."""
        with self._server.lock:
            self.runs[run_id].stop_requested = True

    def stop_by_agent(self, run_id: str) -> None:
        """What early termination does: the run's agent is told to stop it."""
        with self._server.lock:
            self.runs[run_id].agent_stop_requested = True

    def lose_contact(self, run_id: str) -> None:
        """What five minutes without a sign of life do: the run has crashed, or is preempted if it said so before."""
        with self._server.lock:
            self.runs[run_id].lose_contact()

    def close(self) -> None:
        """Ends the server and every process that was started with `environ`."""
        self._server.close()
        self.kill_processes()

    def kill_processes(self) -> None:
        """Kills all that was started with `environ` at once, as when the machine goes down."""

        def none_is_left() -> bool:
            left = self.processes()
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return not left

        wait_until(none_is_left)

    def processes(self) -> list[int]:
        """Processes that live with this backend's mark in their environment; none are found without /proc."""
        mark = f"{MARK}={self.store.signature}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def _environment(self) -> dict[str, str]:
        """This backend, an account on it, and no trace of the user's own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("WANDB_") and name.lower() not in ("http_proxy", "https_proxy", "all_proxy")
        }
        folders = {name: self.folder / name for name in ("home", "work", "config", "cache", "data")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        return kept | {
            # The agent starts programs as `python`.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folders["home"]),
            "NETRC": str(folders["home"] / "netrc"),
            MARK: self.store.signature,
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_DIR": str(folders["work"]),
            "WANDB_CONFIG_DIR": str(folders["config"]),
            "WANDB_CACHE_DIR": str(folders["cache"]),
            "WANDB_DATA_DIR": str(folders["data"]),
            "WANDB_ERROR_REPORTING": "false",
        }

    @property
    def hurried_environ(self) -> dict[str, str]:
        """`environ`, and the client waits a second at most where it would wait 2 to 15 s.

        Where it gives others a limit of time, they have long instead: a crowded machine needs it.
        """
        return self.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HURRY), self.environ.get("PYTHONPATH")])),
            # Whole seconds: of a fraction the client makes 0, which stands for its default.
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
            "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1",
            "WANDB_X_FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "1",
            "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MIN_SECONDS": "1",
            "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "1",
            "WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": "1",
            "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1",
            "WANDB_X_SERVICE_WAIT": f"{PATIENCE_S:g}",
            "WANDB_INIT_TIMEOUT": f"{PATIENCE_S:g}",
            "WANDB_AGENT_KILL_DELAY": f"{PATIENCE_S:g}",
        }

    def __enter__(self) -> "WandbBackend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def running_backend(folder: Path) -> Iterator[WandbBackend]:
    """A backend for a test; requests it did not understand fail the test at its end."""
    with WandbBackend(folder) as backend:
        yield backend
    if backend.unknown:
        pytest.fail("the stand-in of the W&B backend did not understand:\n" + "\n".join(backend.unknown))


@pytest.fixture
def wandb_backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path / "wandb") as backend:
        yield backend
