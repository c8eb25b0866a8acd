"""Slurm by its commands: sbatch, squeue, scontrol, scancel, sinfo. They are on every login node, in every version."""

import hashlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.errors import SpecError

_TIMEOUT_S = 60
_FIELDS = "%A|%T|%N|%r"
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT"),
}
_WANTED = ("COMPLETED", "CANCELLED")


@dataclass(frozen=True)
class Task:
    """One task of an array job.

    Args:
        job: its number; that of the array as long as it waits.
        state: as squeue has it.
        reason: why it waits.
    """

    job: str
    state: str
    node: str
    reason: str

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED

    @property
    def has_failed(self) -> bool:
        return self.has_ended and self.state not in _WANTED

    @property
    def may_run(self) -> bool:
        return not self.has_ended and self.state not in ("PENDING", "COMPLETING")


class Slurm:
    """The jobs of one name.

    Args:
        name: of all jobs of a sweep.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def submit(self, script: str, flags: Sequence[str]) -> None:
        """Submits a script. A SpecError with Slurm's words where it refuses."""
        done = _run(["sbatch", "--parsable", *flags], script)
        if done.returncode != 0:
            words = [
                line.removeprefix("sbatch: error: ").removeprefix("allocation failure: ")
                for line in done.stderr.splitlines()
                if line.strip()
            ]
            raise SpecError(f"Slurm refuses the agents: {' '.join(words)[:400] or 'it does not say why'}.")

    def tasks(self) -> dict[str, Task] | None:
        """All tasks that Slurm still knows; None when it does not answer."""
        done = _run(["squeue", "--noheader", "--array", "--states=all", f"--name={self.name}", f"--format={_FIELDS}"])
        if done.returncode != 0:
            return None
        found = (Task(*line.split("|", 3)) for line in done.stdout.splitlines() if line.count("|") >= 3)
        # Tasks of an array that waits share its number.
        return {
            f"{task.job}.{index}" if task.state == "PENDING" else task.job: task for index, task in enumerate(found)
        }

    def exit_code(self, job: str) -> int | None:
        """Of a job that ended lately."""
        done = _run(["scontrol", "--oneliner", "show", "job", job])
        match = re.search(r"\bExitCode=(\d+):", done.stdout)
        return int(match[1]) if match else None

    def cancel(self, job: str) -> None:
        _run(["scancel", job])

    def cancel_all(self) -> None:
        _run(["scancel", f"--name={self.name}", "--quiet"])


def job_name(folder: Path) -> str:
    """A name that only the jobs of this sweep have."""
    return f"{folder.parent.name[:40]}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def partitions() -> dict[str, int]:
    """Every partition, with the most GPUs that a node of it has.

    Raises:
        SpecError: there is no Slurm here, or it does not answer.
    """
    done = _run(["sinfo", "--noheader", "--Node", "--format=%R|%G"])
    if done.returncode != 0:
        raise SpecError(f"Slurm does not answer: {done.stderr.strip()[:300]}.")
    found: dict[str, int] = {}
    for line in done.stdout.splitlines():
        name, _, resources = line.partition("|")
        gpus = sum(int(number) for number in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", resources))
        found[name.strip()] = max(found.get(name.strip(), 0), gpus)
    return found


def _run(command: Sequence[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise SpecError(
            f"there is no Slurm here: the command {command[0]} is missing. Start the sweep on a login node of the "
            f"cluster, or leave --executor slurm out."
        ) from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]} took longer than {_TIMEOUT_S} s")
