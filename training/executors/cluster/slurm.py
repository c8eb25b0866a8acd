"""SlurmExecutor: agents as tasks of a Slurm array job, which continue without their driver."""

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from text_recognizer.errors import SpecError
from text_recognizer.wording import counted, did_you_mean
from training.executors.base import Setting
from training.executors.cluster.folder_cluster import FolderCluster, check_devices, share
from training.executors.cluster.mailbox import BEAT_S
from training.executors.cluster.pool import ClusterExecutor
from training.terminal.command_line import say

_OURS = ("array", "job-name", "output", "error", "signal", "chdir", "requeue", "no-requeue", "parsable", "wrap")
# Options that request a part of a node, so that agents do not get whole nodes.
_AMOUNTS = ("cpus-per-task", "exclusive", "gpus", "gpus-per-node", "gpus-per-task", "gres", "mem", "mem-per-cpu")
_LOOK_S, _CLOSE_LOOK_S = 10.0, 0.5
_SUBMIT_S, _MOST_PATIENCE_S = 2.0, 60.0
_TIMEOUT_S = 60
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT"),
}


@dataclass(frozen=True)
class Task:
    """One task of an array job, as in squeue."""

    job: str  # its number; that of the array while it is pending
    state: str
    node: str
    reason: str  # why it waits

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED


class SlurmCluster(FolderCluster):
    """Keeps as many agents in Slurm's queue as nodes are requested; only they have the name of this sweep's jobs."""

    def __init__(self, setting: Setting, nodes: int, flags: list[str]) -> None:
        super().__init__(setting, nodes)
        self._name = f"{self.folder.parent.name[:40]}-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:8]}"
        self._flags = flags
        self._tasks: dict[str, Task] = {}
        self._failed: set[str] | None = None
        self._cancelled: set[str] = set()
        self._next_look = self._next_submission = 0.0
        self._wait_s = _SUBMIT_S
        self._refusal: str | None = None

    def check(self) -> None:
        """Lets Slurm check the submission. Raises SpecError: Slurm would refuse it.

        If there are agents of an earlier driver, Slurm accepted it before, but may refuse it while nodes are down.
        """
        if all(task.has_ended for task in (self.tasks() or {}).values()):
            self.submit("#!/bin/sh\n", [*self._all_flags(1), "--test-only"])

    def submit(self, script: str, flags: Sequence[str]) -> None:
        """Submits a script. Raises SpecError: Slurm refuses, with its reason."""
        done = commanded(["sbatch", "--parsable", *flags], script)
        if done.returncode != 0:
            raise SpecError(f"Slurm refuses the agents: {why(done.stderr)}.")

    def tasks(self) -> dict[str, Task] | None:
        """All tasks that Slurm still lists; None if it does not respond."""
        done = commanded(
            ["squeue", "--noheader", "--array", "--states=all", f"--name={self._name}", "--format=%A|%T|%N|%r"]
        )
        if done.returncode != 0:
            return None
        found = (Task(*line.split("|", 3)) for line in done.stdout.splitlines() if line.count("|") >= 3)
        # Tasks of a pending array share its number.
        return {
            f"{task.job}.{index}" if task.state == "PENDING" else task.job: task for index, task in enumerate(found)
        }

    def keep_up(self) -> None:
        now = time.monotonic()
        present = [agent for agent in self.agents.values() if agent.job in self._tasks]
        eager = len(self._alive()) < self.nodes or any(one.pulse.silent_s() > 3 * BEAT_S for one in present)
        if now >= self._next_look or (eager and now >= self._next_look - _LOOK_S + _CLOSE_LOOK_S):
            self._look()
        missing = self.nodes - len(self.refused) - len(self._alive())
        if missing > 0 and now >= self._next_submission:
            self._submit_agents(missing)
            self._next_submission = time.monotonic() + self._wait_s
            self._look()

    def _submit_agents(self, count: int) -> None:
        """Submits agents. If Slurm refuses what it accepted before (see check), it may accept it later."""
        try:
            self.submit(self.script("$SLURM_JOB_ID"), self._all_flags(count))
            self._refusal, self._wait_s = None, _SUBMIT_S
        except SpecError as error:
            if str(error) != self._refusal:
                say(f"{error} Trying again at least once a minute.")
            self._refusal, self._wait_s = str(error), min(2 * self._wait_s, _MOST_PATIENCE_S)

    def why_lost(self, job: str, silent_s: float, hangs: bool) -> str | None:
        task = self._tasks.get(job)
        may_run = task is not None and not task.has_ended and task.state not in ("PENDING", "COMPLETING")
        if may_run and hangs and job not in self._cancelled:
            self._cancelled.add(job)
            commanded(["scancel", job])
        is_vague = task is None or task.state == "COMPLETING"  # Slurm's information may be older than the agent
        if (is_vague and silent_s > 3 * BEAT_S) or (task is not None and task.has_ended):
            return f"Slurm says that job {job} is {'gone' if task is None else task.state}"
        return None

    def waiting_for(self) -> str:
        waiting = [task for task in self._tasks.values() if task.state == "PENDING"]
        if waiting:
            reason = f" ({waiting[0].reason})" if waiting[0].reason != "None" else ""  # not considered yet
            return f"waiting for Slurm: {counted(len(waiting), 'job')} pending{reason}"
        if self._refusal is not None:
            return f"waiting for Slurm to take an agent. {self._refusal}"
        return "waiting for an agent to start"

    def end_agents(self) -> None:
        commanded(["scancel", f"--name={self._name}", "--quiet"])

    def _alive(self) -> list[Task]:
        return [task for task in self._tasks.values() if not task.has_ended]

    def _look(self) -> None:
        """Queries Slurm; without a response, nothing is concluded."""
        self._next_look = time.monotonic() + _LOOK_S
        tasks = self.tasks()
        if tasks is None:
            return
        self._tasks = tasks
        if self._failed is None:  # tasks that ended before this driver started are not failures of its own agents
            self._failed = {task.job for task in tasks.values() if task.has_ended}
        known = {agent.job for agent in self.agents.values()}
        if known & {task.job for task in self._alive()}:
            self._failures.clear()
        for task in tasks.values():
            has_failed = task.has_ended and task.state not in ("COMPLETED", "CANCELLED")
            if has_failed and task.job not in known | self._failed:
                self._failed.add(task.job)
                node = f"the node {task.node}" if task.node else "a node"
                self.note_failure(task.job, node, exit_code(task.job))

    def _all_flags(self, count: int) -> list[str]:
        return [
            *(f"--array=0-{count - 1}", f"--job-name={self._name}", "--output=/dev/null"),
            # The driver submits replacements for agents that end.
            *("--nodes=1", "--ntasks=1", "--no-requeue", "--signal=B:USR1@60", *self._flags),
        ]


class SlurmExecutor(ClusterExecutor):
    """Executes runs on the nodes of a Slurm cluster."""

    @classmethod
    def open(
        cls,
        setting: Setting,
        nodes: int = 1,
        partition: str | None = None,
        time: str | None = None,
        options: Mapping[str, str | int | float | bool | None] | None = None,
    ) -> "SlurmExecutor":
        """See Executor.open.

        Args:
            nodes: number of agents, one per node.
            partition, time: as in sbatch.
            options: further options of sbatch; unless one of them requests a part of a node, an agent gets a whole one.
        """
        given = dict(options or {})
        there = eligible_nodes(partition, given)
        check_devices(setting, max(there.values(), default=0))
        named = {key: value for key, value in (("partition", partition), ("time", time)) if value is not None}
        cluster = SlurmCluster(share(setting, nodes), nodes, job_flags({**named, **given}))
        cluster.check()
        if nodes > len(there) and not given.keys() & set(_AMOUNTS):
            say(
                f"--nodes {nodes}: Slurm has {counted(len(there), 'node')} here, an agent gets a whole one. The other "
                f"agents wait in the queue, for nodes to come, and leave it at the end."
            )
        return cls(cluster, setting.jobs)


def job_flags(options: Mapping[str, object], is_job: bool = True) -> list[str]:
    """Options of a job, which gets whole nodes unless an option requests a part; or of a job step."""
    flags = [f"--{key}" if value in (None, True, "") else f"--{key}={value}" for key, value in options.items()]
    return [*flags, "--exclusive", "--mem=0"] if is_job and not options.keys() & set(_AMOUNTS) else flags


def eligible_nodes(partition: str | None, options: Mapping[str, object]) -> dict[str, int]:
    """The eligible nodes, with their GPUs. Raises SpecError: Slurm would certainly refuse."""
    if owned := [key for key in options if key in _OURS]:
        raise SpecError(f"--slurm {owned[0]}: Text Recognizer sets this option of sbatch itself. Leave it out.")
    there = partitions()
    asked = there if partition is None else partition.split(",")
    if unknown := [name for name in asked if name not in there]:
        raise SpecError(
            f"there is no partition '{unknown[0]}' here.{did_you_mean(unknown[0], list(there))} "
            f"There are: {', '.join(sorted(there))}."
        )
    return {node: gpus for name in asked for node, gpus in there[name].items()}


def partitions() -> dict[str, dict[str, int]]:
    """Every partition, with its nodes and their GPUs. Raises SpecError: there is no Slurm here, or no response."""
    done = commanded(["sinfo", "--noheader", "--Node", "--format=%R|%N|%G"])
    if done.returncode != 0:
        raise SpecError(f"Slurm does not answer: {why(done.stderr)}.")
    found: dict[str, dict[str, int]] = {}
    for line in done.stdout.splitlines():
        name, node, resources = (field.strip() for field in line.split("|", 2))
        gpus = sum(int(number) for number in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", resources))
        found.setdefault(name, {})[node] = gpus
    return found


def exit_code(job: str) -> int | None:
    """The exit code of a recently ended job; None if Slurm does not report it."""
    done = commanded(["scontrol", "--oneliner", "show", "job", job])
    match = re.search(r"\bExitCode=(\d+):", done.stdout)
    return int(match[1]) if match else None


def why(said: str) -> str:
    """The first reason in the output of a Slurm command."""
    reason = re.sub(r"(\w+: )?(error: |fatal: )?(allocation failure: )?", "", said.strip().partition("\n")[0], count=1)
    return reason.rstrip(".")[:400] or "it does not say why"


def commanded(command: Sequence[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise no_slurm(command[0]) from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]} took longer than {_TIMEOUT_S} s")


def no_slurm(program: str) -> SpecError:
    return SpecError(
        f"there is no Slurm here: the command {program} is missing. Do this on a login node of the cluster, or leave "
        f"--executor slurm and --nodes out."
    )
