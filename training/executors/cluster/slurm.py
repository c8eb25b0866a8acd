"""SlurmExecutor: agents that are tasks of one Slurm array job, and meet their driver in the sweep's folder.

No server and no open port: what both see is the shared file system. The driver may die and be started again, on
another login node too; the agents go on meanwhile.
"""

import time
from collections.abc import Mapping

from text_recognizer.errors import RunError, SpecError
from text_recognizer.wording import counted, did_you_mean
from training.executors.base import Setting
from training.executors.cluster.cluster_executor import ClusterExecutor, check_devices, check_nodes, share
from training.executors.cluster.folder_cluster import FolderCluster, MailboxAgent
from training.executors.cluster.mailbox import BEAT_S
from training.executors.cluster.slurm_commands import Slurm, Task, job_name, partitions
from training.terminal.command_line import say

_OURS = ("array", "job-name", "output", "error", "signal", "chdir", "requeue", "no-requeue", "parsable", "wrap")
# Whoever says how much of a node an agent gets does not get the whole.
_AMOUNTS = ("cpus-per-task", "exclusive", "gpus", "gpus-per-node", "gpus-per-task", "gres", "mem", "mem-per-cpu")
_SILENT_S = 60.0
_LOOK_S, _CLOSE_LOOK_S = 10.0, 0.5
_SUBMIT_S, _MOST_PATIENCE_S = 2.0, 60.0
_MOST_FAILURES = 3


class SlurmCluster(FolderCluster):
    """Keeps as many agents in Slurm's queue as nodes are wanted."""

    def __init__(self, setting: Setting, nodes: int, flags: list[str]) -> None:
        super().__init__(setting, nodes)
        self._slurm = Slurm(job_name(self.folder))
        self._flags = flags
        self._tasks: dict[str, Task] = {}
        self._failed: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._next_look = self._next_submission = 0.0
        self._wait_s = _SUBMIT_S
        self._refusal: str | None = None

    def check(self) -> None:
        """Has Slurm itself look at what will be submitted. A SpecError where it would refuse it."""
        self._slurm.submit("#!/bin/sh\n", [*self._all_flags(1), "--test-only"])

    def begin(self) -> None:
        super().begin()
        self._look()

    def keep_up(self) -> None:
        now = time.monotonic()
        eager = len(self._alive()) < self.nodes or any(one.pulse.silent_s() > 3 * BEAT_S for one in self._present())
        if now >= self._next_look or (eager and now >= self._next_look - _LOOK_S + _CLOSE_LOOK_S):
            self._look()
        missing = self.nodes - len(self.refused) - len(self._alive())
        if missing > 0 and now >= self._next_submission:
            self._submit(missing)
            self._next_submission = time.monotonic() + self._wait_s
            self._look()

    def _submit(self, count: int) -> None:
        """Where Slurm refuses what it has looked at before (see check), it may take it later."""
        try:
            self._slurm.submit(self.script("$SLURM_JOB_ID"), self._all_flags(count))
            self._refusal, self._wait_s = None, _SUBMIT_S
        except SpecError as error:
            if str(error) != self._refusal:
                say(f"{error} It is asked again, at least once a minute.")
            self._refusal, self._wait_s = str(error), min(2 * self._wait_s, _MOST_PATIENCE_S)

    def why_gone(self, agent: MailboxAgent) -> str | None:
        silent_s = agent.pulse.silent_s()
        if agent.job is None:
            return "it never said who it is" if silent_s > _SILENT_S else None
        task = self._tasks.get(agent.job)
        if task is not None and task.may_run and silent_s > _SILENT_S and task.job not in self._cancelled:
            self._cancelled.add(task.job)
            self._slurm.cancel(task.job)
        is_vague = task is None or task.state == "COMPLETING"  # news of Slurm may be older than the agent
        if (is_vague and silent_s > 3 * BEAT_S) or (task is not None and task.has_ended):
            return f"Slurm says that job {agent.job} is {'gone' if task is None else task.state}"
        return None

    def waiting_for(self) -> str:
        waiting = [task for task in self._tasks.values() if task.state == "PENDING"]
        if waiting:
            return f"waiting for Slurm: {counted(len(waiting), 'job')} pending ({waiting[0].reason})"
        if self._refusal is not None:
            return f"waiting for Slurm to take an agent. {self._refusal}"
        return "waiting for an agent to start"

    def end_agents(self) -> None:
        self._slurm.cancel_all()

    def _present(self) -> list[MailboxAgent]:
        return [agent for agent in self.agents.values() if agent.job in self._tasks]

    def _alive(self) -> list[Task]:
        return [task for task in self._tasks.values() if not task.has_ended]

    def _look(self) -> None:
        """Asks Slurm; where it does not answer, nothing is concluded."""
        self._next_look = time.monotonic() + _LOOK_S
        tasks = self._slurm.tasks()
        if tasks is None:
            return
        self._tasks = tasks
        known = {agent.job for agent in self.agents.values()}
        if known & {task.job for task in self._alive()}:
            self._failed.clear()
        for task in tasks.values():
            if task.has_failed and task.job not in known and task.job not in self._failed:
                node = f"the node {task.node}" if task.node else "a node"
                self._failed[task.job] = self.why_failed(task.job, node, self._slurm.exit_code(task.job))
        if len(self._failed) >= _MOST_FAILURES:
            raise RunError(list(self._failed.values())[-1])

    def _all_flags(self, count: int) -> list[str]:
        ours = [
            *(f"--array=0-{count - 1}", f"--job-name={self._slurm.name}", "--output=/dev/null"),
            # The driver submits others in the place of those that end.
            *("--nodes=1", "--ntasks=1", "--no-requeue", "--signal=B:USR1@60"),
        ]
        return [*ours, *self._flags]


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
            nodes: agents, one a node.
            partition, time: as sbatch takes them.
            options: further options of sbatch; without one that says how much of a node, an agent gets all of it.
        """
        given = {str(key): value for key, value in (options or {}).items()}
        check_nodes(nodes)
        check_devices(setting, _most_gpus(partition, given))
        given = {"partition": partition, "time": time, **given}
        flags = [
            f"--{key}" if value in (None, True, "") else f"--{key}={value}"
            for key, value in given.items()
            if not (key in ("partition", "time") and value is None)
        ]
        if not given.keys() & set(_AMOUNTS):
            flags += ["--exclusive", "--mem=0"]
        cluster = SlurmCluster(share(setting, nodes), nodes, flags)
        cluster.check()
        return cls(setting, cluster)


def _most_gpus(partition: str | None, options: Mapping[str, object]) -> int:
    """The most GPUs of a node that may be given; a SpecError for what can be known to be refused."""
    if owned := [key for key in options if key in _OURS]:
        raise SpecError(f"--slurm {owned[0]}: Text Recognizer sets this option of sbatch itself. Leave it out.")
    gpus = partitions()
    if partition is not None and (unknown := [name for name in partition.split(",") if name not in gpus]):
        raise SpecError(
            f"there is no partition '{unknown[0]}' here.{did_you_mean(unknown[0], list(gpus))} "
            f"There are: {', '.join(sorted(gpus))}."
        )
    return max((gpus[name] for name in (partition.split(",") if partition is not None else gpus)), default=0)
