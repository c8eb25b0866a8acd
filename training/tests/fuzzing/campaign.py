"""Runs inputs against a target in forked workers, and records what each did or died of."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import connection, sharedctypes
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats import emnist_mat
from text_recognizer.errors import TextRecognizerError
from training.tests.fuzzing.base import Target
from training.tests.fuzzing.mutators import Files, mutated
from training.tests.fuzzing.targets import TARGETS

MOST_CPU_S = 10
MOST_MB = 1000
ADDRESS_SPACE_MB = 4000
# A worker that neither computes nor comes to an end waits for something.
LONGEST_WAIT_S = 120
INPUTS_A_WORKER = 1000
BAD = ("traceback", "hang", "memory")

_FAST_FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_FORK = multiprocessing.get_context("fork")
# Exit codes of a worker whose memory would hide what later inputs take.
_OVER_MEMORY, _OUT_OF_MEMORY = 77, 78
_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class"}


class StartedAProgramError(BaseException):
    """No input may make a reader start a program or load a pickle. No handler of the reader's may hide it."""


@dataclass(frozen=True)
class Find:
    """An input that was neither accepted nor refused.

    Args:
        kind: one of BAD.
        place: where it happened, for telling finds apart.
    """

    target: str
    index: int
    kind: str
    error: str
    place: str
    files: Files = field(repr=False)

    def size_bytes(self) -> int:
        return sum(map(len, self.files.values()))

    def keep(self, folder: Path) -> Path:
        """Writes it as one small file."""
        crc = zlib.crc32(repr(sorted(self.files.items())).encode())
        path = folder / f"{self.target}-{self.kind}-{crc:08x}.zip"
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(self.files.items()):
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return path


def read_find(path: Path) -> tuple[str, Files]:
    """The name of the target, and the input."""
    with zipfile.ZipFile(path) as archive:
        return path.name.split("-")[0], {name: archive.read(name) for name in archive.namelist()}


@dataclass
class Tally:
    """How a target's inputs ended."""

    target: str
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    largest_mb: float = 0.0
    bad: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BAD, 0))
    refusal: str = ""  # the last one
    # By kind and place: how many, and the smallest. A target that fails always would fill the memory with the others.
    finds: dict[tuple[str, str], tuple[int, Find]] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + sum(self.bad.values())

    def add(self, find: Find) -> None:
        self.bad[find.kind] += 1
        count, smallest = self.finds.get((find.kind, find.place), (0, find))
        self.finds[find.kind, find.place] = count + 1, min(smallest, find, key=Find.size_bytes)

    def count(self, accepted: int, refused: int, slowest_s: float, largest_mb: float) -> None:
        self.accepted += accepted
        self.refused += refused
        self.slowest_s = max(self.slowest_s, slowest_s)
        self.largest_mb = max(self.largest_mb, largest_mb)


class Campaign:
    """Inputs of one target.

    Args:
        seed: decides all inputs.
        seeds: valid inputs; by default those of the target.
        jobs: workers at once.
    """

    def __init__(self, target: Target, seed: str = "0", jobs: int = 1, seeds: Sequence[Files] | None = None) -> None:
        self.target = target
        self.seed = seed
        self.jobs = jobs
        self.tells_refusals = False
        self.tally = Tally(target.name)
        self.seeds = _made_elsewhere(target.name) if seeds is None else seeds
        target.warm()

    def input(self, index: int) -> Files:
        """The first are valid ones, so that a reader that refuses everything is noticed."""
        if index < len(self.seeds):
            return dict(self.seeds[index])
        draw = random.Random(f"{self.seed}/{self.target.name}/{index}")
        files: Files = {}
        for number in range(self.target.together):
            one = mutated(self.seeds, draw, self.target.kept)
            if self.target.together > 1:
                one = {name.replace("damaged", f"damaged-{number:02}", 1): content for name, content in one.items()}
            files |= one
        self.target.mend(files)
        return files

    def run(self, inputs: int) -> Tally:
        """Tries the target's share of so many inputs, and at least the valid ones."""
        inputs = max(round(inputs * self.target.share), len(self.seeds))
        waiting = deque((at, min(at + INPUTS_A_WORKER, inputs)) for at in range(0, inputs, INPUTS_A_WORKER))
        with tempfile.TemporaryDirectory(prefix="fuzzing-", dir=_FAST_FOLDER) as folder:
            running: list[_Worker] = []
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    running.append(_Worker(self, *waiting.popleft(), Path(folder)))
                connection.wait([worker.process.sentinel for worker in running], timeout=1.0)
                for worker in [one for one in running if one.is_over()]:
                    running.remove(worker)
                    if (rest := self._collect(worker, Path(folder))) is not None:
                        waiting.appendleft(rest)
        return self.tally

    def _collect(self, worker: "_Worker", folder: Path) -> tuple[int, int] | None:
        """Adds up what a worker did; the inputs that it did not come to."""
        worker.add_to(self.tally)
        if worker.death is None:
            return None
        death: tuple[str, str] | None = worker.death
        if worker.death[0] != "traceback":  # a busy machine may have been at fault: the same once more, alone
            again = _Worker(self, worker.index, worker.index + 1, folder)
            while not again.is_over():
                connection.wait([again.process.sentinel], timeout=1.0)
            again.add_to(self.tally)
            death = again.death
        if death is not None:
            self.tally.add(Find(self.target.name, worker.index, *death, death[1], self.input(worker.index)))
        return worker.index + 1, worker.stop


def _made_elsewhere(name: str) -> list[Files]:
    """Valid inputs, made by another process: what a library does once must not be done in the parent of workers."""
    with ProcessPoolExecutor(1, mp_context=_FORK) as pool:
        return pool.submit(_seeds_of, name).result()


def _seeds_of(name: str) -> list[Files]:
    _be_silent()
    return TARGETS[name].seeds()


class _Worker:
    """A process that tries the inputs from one number to another, and what it said so far."""

    def __init__(self, campaign: Campaign, start: int, stop: int, folder: Path) -> None:
        self.campaign = campaign
        self.stop = stop
        self.place = Path(tempfile.mkdtemp(dir=folder))
        self.log = self.place / "finds.jsonl"
        self.state: Any = sharedctypes.RawArray("d", [start, 0, 0, 0, 0])
        self.process = _FORK.Process(target=self._work, args=(start,), daemon=True)
        self.process.start()
        self._seen: tuple[object, float] = None, time.monotonic()

    @property
    def index(self) -> int:
        return int(self.state[0])

    @property
    def death(self) -> tuple[str, str] | None:
        """What ended the worker early: the kind of find, and the reason in words."""
        code = self.process.exitcode
        known: dict[int | None, tuple[str, str]] = {
            _OVER_MEMORY: ("memory", f"more than {MOST_MB} MB"),
            _OUT_OF_MEMORY: ("memory", f"MemoryError: {ADDRESS_SPACE_MB} MB were not enough"),
            -signal.SIGPROF: ("hang", f"more than {MOST_CPU_S} s of processor time"),
            -signal.SIGKILL: ("hang", f"waited for more than {LONGEST_WAIT_S} s, or was killed"),
        }
        return None if code == 0 else known.get(code, ("traceback", f"the process died: exit code {code}"))

    def is_over(self) -> bool:
        if self.process.exitcode is not None:
            return True
        now = self.state[0], _computed(self.process.pid)  # on a busy machine, little may be much
        if now != self._seen[0]:
            self._seen = now, time.monotonic()
        elif time.monotonic() - self._seen[1] > LONGEST_WAIT_S:
            self.process.kill()
            self.process.join()
            return True
        return False

    def add_to(self, tally: Tally) -> None:
        self.process.join()
        tally.count(int(self.state[1]), int(self.state[2]), self.state[3], self.state[4])
        if self.log.exists():
            for line in self.log.read_text().splitlines():
                index, kind, error, place = json.loads(line)
                if kind == "refused":
                    tally.refusal = error
                else:
                    tally.add(Find(tally.target, index, kind, error, place, self.campaign.input(index)))
        shutil.rmtree(self.place, ignore_errors=True)

    def _work(self, start: int) -> None:
        _isolate(self.place, limited=not self.campaign.target.tensorflow)
        for index in range(start, self.stop):
            self.state[0] = index
            files = self.campaign.input(index)
            before_mb, peak_mb, begun_s = _memory_mb(), _peak_mb(), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)  # its default action ends the process, in C code too
            kind, error, place = outcome(self.campaign.target, files, self.place / str(index))
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.state[3] = max(self.state[3], time.process_time() - begun_s)
            grown_mb = _peak_mb() - before_mb if _peak_mb() > peak_mb else 0.0
            self.state[4] = max(self.state[4], grown_mb)
            if grown_mb > MOST_MB or kind == "memory":
                os._exit(_OVER_MEMORY if grown_mb > MOST_MB else _OUT_OF_MEMORY)
            if kind in ("accepted", "refused"):
                self.state[1 if kind == "accepted" else 2] += 1
            if kind == "traceback" or (kind == "refused" and self.campaign.tells_refusals):
                with open(self.log, "a") as file:
                    file.write(json.dumps([index, kind, error, place]) + "\n")


def outcome(target: Target, files: Files, folder: Path) -> tuple[str, str, str]:
    """Tries an input: accepted, refused, memory or traceback; the error, and where it came from."""
    settings = {"RUNS": "runs", "DATA": "data", "LOCKS": "locks", "WEIGHTS": "weights", "METADATA": "metadata.toml"}
    os.environ.update({f"TEXT_RECOGNIZER_{name}": str(folder / place) for name, place in settings.items()})
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        target.read(folder)
    except TextRecognizerError as error:
        return "refused", str(error), ""
    except MemoryError as error:
        return "memory", repr(error), ""
    except BaseException as error:  # noqa: BLE001 - anything else is what is looked for
        return "traceback", traceback.format_exc()[-5000:], f"{type(error).__name__} at {_place_of(error)}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "accepted", "", ""


def _place_of(error: BaseException) -> str:
    """The innermost line of the project's own."""
    root = f"{Path(__file__).resolve().parents[3]}/"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(root)]
    own = [frame for frame in frames if ".venv" not in frame.filename]
    return f"{own[-1].filename.removeprefix(root)}:{own[-1].lineno}" if own else "?"


def _isolate(place: Path, limited: bool) -> None:
    """A worker prints nothing, starts no program, and cannot take the machine down."""
    os.chdir(place)
    _be_silent()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for name in [name for name in os.environ if name.startswith(("TEXT_RECOGNIZER_", "WANDB_"))]:
        del os.environ[name]
    if limited:
        most = int(_memory_mb(0) + ADDRESS_SPACE_MB) << 20
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse_programs)


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w", errors="backslashreplace")
    warnings.simplefilter("ignore")


def _refuse_programs(event: str, arguments: Sequence[object]) -> None:
    if event in _PROGRAMS and emnist_mat.__name__ not in str(arguments[1:2]):  # the reader of MATLAB files
        raise StartedAProgramError(f"{event} {arguments[:2]}")


def _memory_mb(column: int = 1) -> float:
    """Resident memory of this process; in column 0, its address space."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize() / 2**20


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _computed(pid: int | None) -> tuple[str, ...]:
    """The processor time that a process has had; nothing where the system does not tell."""
    try:
        return tuple(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    except OSError:
        return ()


def replayed(paths: Sequence[Path]) -> Iterator[tuple[Path, Tally]]:
    """Kept finds once more, each in a worker of its own."""
    for path in paths:
        name, files = read_find(path)
        campaign = Campaign(TARGETS[name], seeds=[files])
        campaign.tells_refusals = True
        yield path, campaign.run(1)
