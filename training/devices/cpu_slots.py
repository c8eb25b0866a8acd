"""Cores and threads for several trials at once, so that together they use the machine once, not several times over."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import DeviceError
from text_recognizer.wording import received


@dataclass(frozen=True)
class CpuSlot:
    """The part of the processor that one of several concurrent trials uses.

    Args:
        cores: for os.sched_setaffinity; disjoint between slots unless there are more slots than cores.
        threads: how many computing threads make sense.
    """

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
    """Divides the cores that this process may use among concurrent trials.

    Hyper-threads of one core stay together, and so do the cores of one processor. A container's limit of processor
    time counts too: four cores of which two may be used at a time give two threads in all.

    Raises:
        DeviceError: jobs is less than 1.
    """
    if jobs < 1:
        raise DeviceError(f"the number of concurrent jobs must be at least 1. {received(jobs)}")
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = sorted(usable, key=_place_of_core)
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


def _cpu_quota(proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores' worth of processor time that the control groups of this process allow; None without a limit."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for folder in _cgroup_folders(line, mount) if (limit := _limit(folder))]
    return min(limits, default=None)


def _cgroup_folders(line: str, mount: Path) -> Iterator[Path]:
    """The folders of a line of /proc/self/cgroup ("number:controllers:path") that may limit processor time."""
    _, controllers, path = line.split(":", 2)
    if controllers and "cpu" not in controllers.split(","):
        return
    # The unified hierarchy (version 2) has no controllers' names, and may lie beside the older one.
    bases = [mount / "cpu", mount / "cpu,cpuacct"] if controllers else [mount, mount / "unified"]
    for base in bases:
        folder = base / path.strip("/")
        yield folder
        yield from (parent for parent in folder.parents if parent.is_relative_to(base))


def _limit(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
