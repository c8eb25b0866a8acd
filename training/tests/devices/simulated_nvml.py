"""A simulated machine with GPUs: builds the library that stands in for libnvidia-ml.so.1, and writes what it says."""

import atexit
import contextlib
import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("nvml_stub.c")

NOT_SUPPORTED, NO_PERMISSION, GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 3, 4, 15, 18, 999


def compiler() -> str | None:
    return shutil.which("cc")


needs_compiler = pytest.mark.skipif(compiler() is None, reason="the simulated NVML is built with cc: there is none")


def build(folder: Path) -> Path:
    """Compiles libnvidia-ml.so.1 into a folder."""
    library = folder / "libnvidia-ml.so.1"
    cc = compiler()
    assert cc is not None
    subprocess.run(
        [cc, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{library.name}", "-o", library, SOURCE],
        check=True,
    )
    return library


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """A temporary folder that other users may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="simulated-gpus-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Gpu:
    uuid: str
    memory_mib: int = 81_920
    used_mib: int = 0
    load: int = 0
    compute_mode: int = 0
    ecc_errors: int = 0
    remap_pending: int = 0
    remap_failed: int = 0
    retired_pending: int = 0
    mig: int = 0
    name: str = "Simulated GPU"

    def line(self) -> str:
        numbers = (self.memory_mib, self.used_mib, self.load, self.compute_mode, self.ecc_errors)
        flags = (self.remap_pending, self.remap_failed, self.retired_pending, self.mig)
        return f"gpu {self.uuid} {' '.join(map(str, numbers + flags))} {self.name}"


@dataclass
class MigInstance:
    parent: str
    uuid: str
    memory_mib: int = 9_856
    used_mib: int = 0
    name: str = "Simulated GPU MIG 1g.10gb"

    def line(self) -> str:
        return f"mig {self.parent} {self.uuid} {self.memory_mib} {self.used_mib} {self.name}"


@dataclass
class Machine:
    """What the simulated NVML says. Change it, then write()."""

    folder: Path
    gpus: list[Gpu] = field(default_factory=list)
    instances: list[MigInstance] = field(default_factory=list)
    processes: list[tuple[str, int, int, str]] = field(default_factory=list)
    failures: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def state_file(self) -> Path:
        return self.folder / "gpus.txt"

    @property
    def locks(self) -> Path:
        return self.folder / "locks"

    @property
    def environ(self) -> dict[str, str]:
        """For a program that is to see this machine."""
        return {
            "LD_LIBRARY_PATH": str(self.folder),
            "NVML_SIMULATION": str(self.state_file),
            "TEXT_RECOGNIZER_LOCKS": str(self.locks),
        }

    def with_gpus(self, count: int, **values: int) -> "Machine":
        self.gpus = [Gpu(f"GPU-{index:08d}", **values) for index in range(count)]  # type: ignore[arg-type]
        return self.write()

    def use(self, gpu: int, pid: int, memory_mib: int = 600, kind: str = "compute") -> "Machine":
        """A process computes on a GPU."""
        self.processes.append((self.gpus[gpu].uuid, pid, memory_mib, kind))
        return self.write()

    def fail(self, function: str, code: int, uuid: str = "*") -> "Machine":
        self.failures.append((function, uuid, code))
        return self.write()

    def write(self) -> "Machine":
        lines = [gpu.line() for gpu in self.gpus] + [instance.line() for instance in self.instances]
        lines += [f"process {uuid} {pid} {memory} {kind}" for uuid, pid, memory, kind in self.processes]
        lines += [f"fail {function} {uuid} {code}" for function, uuid, code in self.failures]
        beside = self.state_file.with_suffix(".new")
        beside.write_text("\n".join(lines) + "\n")
        beside.replace(self.state_file)
        return self


def load_into_this_process(library: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes pynvml use the library here, whatever it has loaded before."""
    import pynvml

    patch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(library)))
    patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


def set_environ(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    for name, value in machine.environ.items():
        if name != "LD_LIBRARY_PATH":
            patch.setenv(name, value)
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    patch.delenv("TEXT_RECOGNIZER_LEASE", raising=False)


@functools.cache
def built_library() -> Path:
    """The library, built once for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="simulated-nvml-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build(folder)


@contextlib.contextmanager
def simulated_machine(patch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine without GPUs at first, which this process takes for its own."""
    library = built_library()
    with shared_folder() as folder:
        shutil.copy(library, folder)
        machine = Machine(folder).write()
        set_environ(machine, patch)
        load_into_this_process(library, patch)
        yield machine
