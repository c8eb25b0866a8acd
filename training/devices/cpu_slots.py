"""Cores and threads for several trials at once, so that together they use the machine once, not several times over."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import DeviceError
from text_recognizer.wording import received


@dataclass(frozen=True)
class CpuSlot:
    """A concurrent trial's part of the processor: cores, disjoint unless there are too few, and threads."""

    cores: tuple[int, ...]
    threads: int

    @property
    def environ(self) -> dict[str, str]:
        """What TensorFlow, OpenMP and the BLAS libraries read when they are loaded."""
        return {
            "TF_NUM_INTRAOP_THREADS": str(self.threads),
            # Operations side by side: more than two find nothing to do in chains of layers.
            "TF_NUM_INTEROP_THREADS": str(min(self.threads, 2)),
            **{f"{library}_NUM_THREADS": str(self.threads) for library in ("OMP", "OPENBLAS", "MKL")},
        }


def cpu_slots(jobs: int) -> list[CpuSlot]:
    """Divides the cores that this process may use among concurrent trials. Raises DeviceError: jobs is less than 1.

    Hyper-threads of one core stay together, and so do the cores of one processor. A container's limit of processor
    time counts too: four cores of which two may be used at a time give two threads in all.
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
    """Processor, core in it, hyper-thread: neighbours in this order share caches."""
    topology = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        package = int((topology / "physical_package_id").read_text())
        return package, int((topology / "core_id").read_text()), core
    except (OSError, ValueError):
        return 0, core, core


def _cpu_quota(mount: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores' worth of processor time that the container of this process allows; None without a limit."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # of control groups, version 2 and 1
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join((mount / name).read_text() for name in names).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
    return None
