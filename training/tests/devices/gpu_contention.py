"""Many processes fight for few simulated GPUs while they are killed at random; nothing may ever be held twice.

    python -m training.tests.devices.gpu_contention --processes 64 --leases 5000

An independent witness watches: each device has four parts, and each part is a byte of a file that the holder of a lease
locks with another kind of kernel lock (open file description locks). A lease on the whole device must get all four
parts, a lease on a half must find two; whoever finds too few free, with their holders alive, reports a violation.
"""

import argparse
import contextlib
import ctypes
import mmap
import os
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from text_recognizer.tests.waiting import PATIENCE_S
from training.devices.decision import Decision, Kept
from training.devices.gpu_manager import GPUManager
from training.devices.lease_folder import LeaseFolder
from training.devices.requests import DeviceRequest
from training.files import lock_files
from training.tests.devices import simulated_nvml
from training.tests.devices.gpu_contender import (
    MAX_DEVICES,
    PART_MIB,
    PARTS,
    WAIT,
    Slot,
    Table,
    Worker,
    append,
    requests_for,
)

FEWEST_KILLS_OF_HOLDERS = 6
LEASES_PER_KILL = 2


@dataclass
class Figures:
    """What happened."""

    processes: int
    devices: int
    seconds: float
    leases: int
    kills: int
    kills_of_holders: int
    violations: list[str]
    returns_s: list[float]
    waits_s: dict[str, list[float]]
    left_waiting: int
    leaked: bool

    @property
    def passed(self) -> bool:
        """Devices are free within a second of their holder's death, usually: at times others keep us from looking."""
        returned = statistics.median(self.returns_s or [0.0]) < 1.0
        return returned and not (self.violations or self.left_waiting or self.leaked)

    def __str__(self) -> str:
        lines = [
            f"{self.processes} processes on {self.devices} devices: {self.leases} leases in {self.seconds:.1f} s",
            f"killed: {self.kills} processes, {self.kills_of_holders} of them held a whole device",
            f"devices held twice: {len(self.violations)}",
            f"devices of a killed holder free again: after {max(self.returns_s, default=0) * 1000:.0f} ms at most",
            f"devices leaked: {'some' if self.leaked else 'none'}; processes left waiting: {self.left_waiting}",
            "wait in ms            requests   median      p99      max",
        ]
        for kind, waits in sorted(self.waits_s.items()):
            p99 = statistics.quantiles(waits, n=100, method="inclusive")[98] if len(waits) > 1 else waits[0]
            numbers = (statistics.median(waits), p99, max(waits))
            lines.append(f"  {kind:<18} {len(waits):>9} " + " ".join(f"{number * 1000:8.0f}" for number in numbers))
        return "\n".join([*lines, *self.violations[:10]])


def contend(
    process_count: int,
    device_count: int,
    lease_count: int,
    seed: int = 0,
    kill_every_s: float = 0.05,
    to_first_violation: bool = False,
) -> Figures:
    """Runs the fight until so many leases were had, and lets the last requests be served.

    Args:
        to_first_violation: it is over as soon as there is one.
    """
    assert device_count <= MAX_DEVICES
    with simulated_nvml.shared_folder() as folder, pytest.MonkeyPatch.context() as patch:
        machine = simulated_nvml.Machine(folder).with_gpus(device_count, memory_mib=PARTS * PART_MIB)
        simulated_nvml.set_environ(machine, patch)
        simulated_nvml.load_into_this_process(simulated_nvml.build(folder), patch)
        table = Table.from_buffer(mmap.mmap(-1, ctypes.sizeof(Table)))
        for name in ("witness", "waits", "violations"):
            (folder / name).touch()
        began = time.monotonic()
        fight = _Fight(folder, machine.locks, table, process_count, seed)
        try:
            fight.run(lease_count, kill_every_s, to_first_violation)
            left_waiting = fight.drain()
        finally:
            fight.kill_all()
        waits: dict[str, list[float]] = {}
        for kind, wait_s in WAIT.iter_unpack((folder / "waits").read_bytes()):
            waits.setdefault(requests_for(device_count)[kind][0], []).append(wait_s)
        return Figures(
            process_count,
            device_count,
            time.monotonic() - began,
            sum(map(len, waits.values())),
            fight.kills,
            fight.kills_of_holders,
            (folder / "violations").read_text().splitlines(),
            fight.returns_s,
            waits,
            left_waiting,
            _leaked(machine.locks, device_count),
        )


class _Fight:
    """The parent's view: it starts workers, kills some, and starts others in their place."""

    def __init__(self, folder: Path, locks: Path, table: Table, process_count: int, seed: int) -> None:
        self._folder = folder
        self._locks = locks
        self._table = table
        self._random = random.Random(seed)
        self._devices = len((folder / "gpus.txt").read_text().splitlines())
        self._workers = {self._start(slot): slot for slot in range(process_count)}
        self.kills = 0
        self.kills_of_holders = 0
        self.returns_s: list[float] = []

    def run(self, lease_count: int, kill_every_s: float, to_first_violation: bool) -> None:
        while self._leases() < lease_count or self.kills_of_holders < FEWEST_KILLS_OF_HOLDERS:
            if to_first_violation and (self._folder / "violations").stat().st_size:
                return
            time.sleep(self._random.expovariate(1 / kill_every_s))
            # On a busy machine most would be killed before they have done anything.
            if self.kills * LEASES_PER_KILL <= self._leases():
                self._kill_one()
            longest = max(self._waiting_s(slot) for slot in self._workers.values())
            if longest > PATIENCE_S:
                self._report(f"a request waited for {longest:.0f} s")
                return

    def drain(self) -> int:
        """Lets everybody finish; returns how many could not."""
        self._table.stop = 1
        until = time.monotonic() + PATIENCE_S
        while self._workers and time.monotonic() < until:
            for pid in list(self._workers):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._workers[pid]
            time.sleep(0.01)
        return len(self._workers)

    def kill_all(self) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _kill_one(self) -> None:
        pids = list(self._workers)
        holders = [pid for pid in pids if self._table.slots[self._workers[pid]].whole_devices]
        pid = self._random.choice(holders if holders and self._random.random() < 0.5 else pids)
        slot = self._table.slots[self._workers[pid]]
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        held, ticket = slot.whole_devices, slot.ticket
        if held:
            self.kills_of_holders += 1
            self._await_return(held, ticket, killed_at)
        number = self._workers.pop(pid)
        self._workers[self._start(number)] = number

    def _await_return(self, devices: int, ticket: int, killed_at: float) -> None:
        """Measures how long the devices of a killed holder are in nobody's hands and yet not free."""
        waiting_for = {f"GPU-{device:08d}" for device in range(self._devices) if devices >> device & 1}
        while waiting_for:
            if time.monotonic() - killed_at > PATIENCE_S:
                self._report(f"{sorted(waiting_for)} did not come back after ticket {ticket}")
                break
            time.sleep(0.002)  # else nobody else decides anything
            with LeaseFolder(self._locks).decision() as decision:
                leases = [entry for entry in decision.leases() if entry.number != ticket]
                waiting_for -= {uuid for entry in leases for uuid in entry.record.holds or {}}
                waiting_for -= {uuid for uuid in waiting_for if _is_free(decision, uuid)}
        self.returns_s.append(time.monotonic() - killed_at)

    def _leases(self) -> int:
        return sum(self._table.slots[slot].leases for slot in self._workers.values())

    def _waiting_s(self, slot: int) -> float:
        since = self._table.slots[slot].waiting_since
        return time.monotonic() - since if since else 0.0

    def _report(self, violation: str) -> None:
        append(self._folder / "violations", f"{violation}\n".encode())

    def _start(self, slot: int) -> int:
        seed = self._random.random()
        # A killed worker's memory of its lease must not be taken for its successor's.
        leases = self._table.slots[slot].leases
        self._table.slots[slot] = Slot(leases=leases)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                Worker(self._folder, self._locks, self._table, slot, seed, self._devices).run()
                status = 0
            finally:
                os._exit(status)
        return pid


def _is_free(decision: Decision, uuid: str) -> bool:
    locked = decision.lock_devices({uuid: None})
    if isinstance(locked, Kept):
        return False
    for descriptor in locked:
        os.close(descriptor)
    return True


def _leaked(locks: Path, devices: int) -> bool:
    """Whether not all devices can be had at once when everybody is gone (left-over children take a moment)."""
    try:
        GPUManager(locks).lease(DeviceRequest.parse(f"{devices}x"), timeout_s=PATIENCE_S).release()
    except Exception:  # noqa: BLE001 - whatever keeps them from us is a leak
        return True
    return any(lock_files.is_locked(path) for path in locks.glob("*.device"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--leases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    figures = contend(args.processes, args.devices, args.leases, args.seed)
    print(figures)
    return 0 if figures.passed else 1


if __name__ == "__main__":
    sys.exit(main())
