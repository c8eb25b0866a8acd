"""One of the processes that fight for simulated GPUs: it takes leases of all kinds, and a witness watches."""

import ctypes
import fcntl
import os
import random
import signal
import struct
import time
from pathlib import Path

from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest
from training.files import processes

PARTS = 4

PART_MIB = 10_000

MAX_DEVICES = 8

LONGEST_HOLD_S = 0.1

WAIT = struct.Struct("id")  # kind, seconds

_WITNESS = 200  # a descriptor number of our own, out of the way of all others

_EXITING = 0x4  # PF_EXITING among the flags in /proc/PID/stat


class Slot(ctypes.Structure):
    """What a worker tells about itself; only it writes here, and only the parent reads."""

    _fields_ = (
        ("leases", ctypes.c_uint64),
        ("waiting_since", ctypes.c_double),
        ("ticket", ctypes.c_uint64),
        ("whole_devices", ctypes.c_uint64),
    )


class Table(ctypes.Structure):
    """Memory that all processes share."""

    _fields_ = (
        ("stop", ctypes.c_uint64),
        ("owners", (ctypes.c_uint64 * PARTS) * MAX_DEVICES),
        ("slots", Slot * 256),
    )


class _Witness:
    """This process's locks on parts of devices, on an open file of its own."""

    def __init__(self, path: Path, table: Table) -> None:
        self._table = table
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(descriptor, _WITNESS)
        os.close(descriptor)

    def claim(self, device: int, count: int) -> list[int] | None:
        """Locks parts of a device; None when living processes hold too many."""
        refusals = 0
        while refusals < 3:
            taken: list[int] = []
            blockers = set()
            for part in range(PARTS):
                if len(taken) < count:
                    if self._lock(device * PARTS + part, fcntl.F_WRLCK):
                        taken.append(part)
                    else:
                        blockers.add(self._table.owners[device][part])
            if len(taken) == count:
                self.own(device, taken)
                return taken
            for part in taken:
                self._lock(device * PARTS + part, fcntl.F_UNLCK)
            # The kernel takes the locks of a dying process away one after the other, in no certain order.
            refusals += all(map(_is_alive, blockers))
        return None

    def own(self, device: int, parts: list[int]) -> None:
        for part in parts:
            self._table.owners[device][part] = os.getpid()

    def free(self, device: int, parts: list[int]) -> None:
        for part in parts:
            self._table.owners[device][part] = 0  # the next one is killed, maybe, before it has put its own number here
            self._lock(device * PARTS + part, fcntl.F_UNLCK)

    def _lock(self, byte: int, kind: int) -> bool:
        try:
            fcntl.fcntl(_WITNESS, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
        except BlockingIOError:
            return False
        return True


class Worker:
    """Takes leases of all kinds, holds each for a moment, and now and then leaves one to a child."""

    def __init__(self, folder: Path, locks: Path, table: Table, slot: int, seed: float, devices: int) -> None:
        self._folder = folder
        self._table = table
        self._slot = table.slots[slot]
        self._random = random.Random(seed)
        self._requests = requests_for(devices)
        self._manager = GPUManager(locks)
        self._witness = _Witness(folder / "witness", table)
        # Children are not waited for: the kernel shall remove them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def run(self) -> None:
        while not self._table.stop:
            kind = self._random.choices(range(len(self._requests)), weights=[8, 2, 2, 1, 4])[0]
            request = DeviceRequest.parse(*self._requests[kind][1:])
            self._slot.waiting_since = time.monotonic()
            lease = self._manager.lease(request)
            wait_s = time.monotonic() - self._slot.waiting_since
            self._slot.waiting_since = 0.0
            self._hold(lease, request)
            append(self._folder / "waits", WAIT.pack(kind, wait_s))
            self._slot.leases += 1

    def _hold(self, lease: Lease, request: DeviceRequest) -> None:
        parts: dict[int, list[int]] = {}
        for device in lease.devices:
            index = device.gpu_index
            claimed = self._witness.claim(index, PARTS // 2 if request.shares else PARTS)
            if claimed is None:
                append(self._folder / "violations", f"{request.text}: device {index} is held twice\n".encode())
            parts[index] = claimed or []
        if not request.shares:
            self._slot.ticket = int(Path(lease.environ["TEXT_RECOGNIZER_LEASE"]).stem)
            self._slot.whole_devices = sum(1 << index for index in parts)
        if self._random.random() < 0.1:
            self._slot.whole_devices = 0
            self._leave_to_a_child(lease, parts)
            return
        time.sleep(self._random.uniform(0, LONGEST_HOLD_S))
        self._slot.whole_devices = 0
        for index, claimed in parts.items():
            self._witness.free(index, claimed)
        lease.release()

    def _leave_to_a_child(self, lease: Lease, parts: dict[int, list[int]]) -> None:
        if os.fork() == 0:
            for index, claimed in parts.items():
                self._witness.own(index, claimed)
            time.sleep(self._random.uniform(0, LONGEST_HOLD_S))
            os.kill(os.getpid(), signal.SIGKILL)
        lease.release()
        # The child keeps the open file with its locks; this process goes on with another.
        self._witness = _Witness(self._folder / "witness", self._table)


def requests_for(devices: int) -> list[tuple[str, str, str | None]]:
    """Kinds of requests: name, --gpu, --gpu-memory."""
    return [
        ("any one", "-1", None),
        ("a certain one", "1", None),
        ("any two", "2x", None),
        (f"any {devices // 2}", f"{devices // 2}x", None),
        ("half of any one", "-1", f"{PARTS // 2 * PART_MIB}MiB"),
    ]


def _is_alive(pid: int) -> bool:
    """Whether a process still runs, and is not on its way out."""
    try:
        fields = (processes.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" and not int(fields[6]) & _EXITING


def append(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    os.write(descriptor, content)
    os.close(descriptor)
