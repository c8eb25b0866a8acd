"""Divides cores and threads among concurrent trials, so that they do not oversubscribe the machine."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import DeviceError
from text_recognizer.wording import received


@dataclass(frozen=True)
class CpuSlot:
    """A concurrent trial's share of the processor: cores, disjoint unless there are too few, and threads."""

    cores: tuple[int, ...]
    threads: int

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables read by TensorFlow, OpenMP and BLAS libraries when they are loaded."""
        return {
            "TF_NUM_INTRAOP_THREADS": str(self.threads),
            # Parallel operations: chains of layers cannot use more than two.
            "TF_NUM_INTEROP_THREADS": str(min(self.threads, 2)),
            **{f"{library}_NUM_THREADS": str(self.threads) for library in ("OMP", "OPENBLAS", "MKL")},
        }


def cpu_slots(jobs: int) -> list[CpuSlot]:
    """Divides the cores available to this process among concurrent trials. Raises DeviceError: jobs is less than 1.

    Hyper-threads of one core stay together, and so do the cores of one processor. A container's CPU limit is respected:
    four cores with a limit of two give two threads in total.
    """
    if jobs < 1:
        raise DeviceError(f"the number of concurrent jobs must be at least 1. {received(jobs)}")
    cores = sorted(os.sched_getaffinity(0), key=_place_of_core)
    quota = _cpu_quota()
    slots = []
    for job in range(jobs):
        part = cores[job * len(cores) // jobs : (job + 1) * len(cores) // jobs] or [cores[job % len(cores)]]
        threads = len(part) if quota is None else min(len(part), int(quota / jobs))
        slots.append(CpuSlot(tuple(part), max(1, threads)))
    return slots


def _place_of_core(core: int) -> tuple[int, int, int]:
    """Sort key of processor, core, hyper-thread: neighbours in this order share caches."""
    topology = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        package = int((topology / "physical_package_id").read_text())
        return package, int((topology / "core_id").read_text()), core
    except (OSError, ValueError):
        return 0, core, core


def _cpu_quota(mount: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The CPU limit of this process's container in cores; None without a limit."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # of control groups, version 2 and 1
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join((mount / name).read_text() for name in names).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
    return None
