"""Networks that do what a user's code might, for tests of executors: a spec names them by their import path."""

import atexit
import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from text_recognizer.networks import Network
from text_recognizer.networks.mlp import Mlp

BEFORE_ANY_RUN = set(sys.modules)


class Odd(Mlp):
    """An mlp that does something before it is built; TensorFlow is there by then.

    Args:
        deed: a method of this class.
        file: a file for it.
    """

    def __init__(self, deed: str = "nothing", file: str = "") -> None:
        super().__init__(layer_size=16, num_layers=1)
        self.deed = deed
        self.file = file

    def build(self, input_shape: Any, output_shape: Any) -> Any:
        getattr(self, self.deed)()
        return super().build(input_shape, output_shape)

    def nothing(self) -> None: ...

    def tell(self) -> None:
        facts = {
            "pid": os.getpid(),
            "session": os.getsid(0),
            "parent": os.getppid(),
            "cores": sorted(os.sched_getaffinity(0)),
            "threads": os.environ["TF_NUM_INTRAOP_THREADS"],
            "setting": os.environ.get("SETTING_OF_THE_DRIVER"),
            "folder": str(Path.cwd()),
            "descriptors": sorted(os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if _is_open(entry)),
        }
        Path(self.file).write_text(json.dumps(facts))

    def list_imports(self) -> None:
        """Writes, at its end, what it had to import."""
        atexit.register(lambda: Path(self.file).write_text(" ".join(sorted(set(sys.modules) - BEFORE_ANY_RUN))))

    def crash(self) -> None:
        print("about to crash")
        ctypes.string_at(0)

    def leave(self) -> None:
        print("error: No space left on device")
        sys.exit(7)

    def start_processes(self) -> None:
        """Three that outlive it unless they are ended: one plain, one in a group and one in a session of its own."""
        options: list[dict[str, Any]] = [{}, {"process_group": 0}, {"start_new_session": True}]
        started = [subprocess.Popen(["sleep", "600"], **one) for one in options]
        write_whole(Path(self.file), " ".join(str(process.pid) for process in started))

    def start_processes_and_stay(self) -> None:
        self.start_processes()
        while True:
            time.sleep(60)

    def stay(self) -> None:
        write_whole(Path(self.file), str(os.getpid()))
        while True:
            time.sleep(60)

    def ask_for_too_much(self) -> None:
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (in_use + (64 << 20), resource.RLIM_INFINITY))
        bytearray(1 << 30)

    def abort_for_memory(self) -> None:
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        os.abort()

    def outgrow_its_group(self) -> None:
        """Joins a control group with a memory limit, and exceeds it."""
        (Path(self.file) / "cgroup.procs").write_text(str(os.getpid()))
        held = bytearray(1 << 30)
        for place in range(0, len(held), 4096):
            held[place] = 1


class Quick(Network):
    """Does something as soon as the spec is put together, long before TensorFlow is needed, and ends the process."""

    def __init__(self, deed: str = "nothing", file: str = "") -> None:
        self.file = file
        getattr(self, deed)()
        sys.stdout.flush()
        os._exit(0)

    def build(self, input_shape: Any, output_shape: Any) -> Any:
        raise NotImplementedError

    def nothing(self) -> None: ...

    def lose_device(self) -> None:
        """A library raises an error, or aborts: file."""
        print(f"lost {os.environ['CUDA_VISIBLE_DEVICES']}: CUDA_ERROR_ECC_UNCORRECTABLE", flush=True)
        if self.file == "aborts":
            os.abort()
        raise RuntimeError("InternalError: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error")

    def use_device(self) -> None:
        """Finds out whether anybody else uses the same device at the same time."""
        visible = os.environ["CUDA_VISIBLE_DEVICES"]
        with open(Path(self.file) / visible, "a") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.1)
        print(f"used {visible}")

    def stay(self) -> None:
        write_whole(Path(self.file), f"{os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}")
        while True:
            time.sleep(60)

    def stay_whatever_comes(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.stay()


def write_whole(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def _is_open(entry: "os.DirEntry[str]") -> bool:
    try:
        os.readlink(entry.path)
    except OSError:
        return False
    return True
