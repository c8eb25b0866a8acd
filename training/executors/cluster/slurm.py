"""SlurmExecutor: agents that are tasks of one Slurm array job, and meet their driver in the sweep's folder.

No server and no open port: what both see is the shared file system. The driver may die and be started again, on
another login node too; the agents go on meanwhile.
"""

import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from text_recognizer.errors import DeviceError, RunError, SpecError
from text_recognizer.wording import counted, did_you_mean, received
from training.executors.base import Executor, Job, Setting
from training.executors.cluster.folder_cluster import FolderCluster, MailboxAgent
from training.executors.cluster.mailbox import BEAT_S
from training.executors.cluster.pool import Pool
from training.executors.cluster.slurm_commands import Slurm, Task, job_name, partitions
from training.executors.zygote.starting import python_path
from training.runs.run import Run
from training.terminal.command_line import say

T = TypeVar("T")

# Of the batch script of an agent, before Python has started.
_EXIT_UNSEEN, _EXIT_NO_PYTHON = 71, 72
_OURS = ("array", "job-name", "output", "error", "signal", "chdir", "requeue", "no-requeue", "parsable", "wrap")
# Whoever says how much of a node an agent gets does not get the whole.
_AMOUNTS = ("cpus-per-task", "exclusive", "gpus", "gpus-per-node", "gpus-per-task", "gres", "mem", "mem-per-cpu")
_SILENT_S = 60.0
_LOOK_S, _CLOSE_LOOK_S = 10.0, 0.5
_SUBMIT_S = 2.0
_MOST_FAILURES = 3


class SlurmCluster(FolderCluster):
    """Keeps as many agents in Slurm's queue as nodes are wanted."""

    def __init__(self, setting: Setting, nodes: int, flags: list[str]) -> None:
        super().__init__(setting)
        self._nodes = nodes
        self._slurm = Slurm(job_name(self.folder))
        self._flags = flags
        self._tasks: dict[str, Task] = {}
        self._failed: dict[str, str] = {}
        self._refused = 0
        self._cancelled: set[str] = set()
        self._next_look = self._next_submission = 0.0

    def check(self) -> None:
        """Has Slurm itself look at what will be submitted. A SpecError where it would refuse it."""
        self._slurm.submit("#!/bin/sh\n", [*self._all_flags(1), "--test-only"])

    def begin(self) -> None:
        super().begin()
        self._look()

    def keep_up(self) -> None:
        now = time.monotonic()
        eager = len(self._alive()) < self._nodes or any(one.pulse.silent_s() > 3 * BEAT_S for one in self._present())
        if now >= self._next_look or (eager and now >= self._next_look - _LOOK_S + _CLOSE_LOOK_S):
            self._look()
        missing = self._nodes - self._refused - len(self._alive())
        if missing > 0 and now >= self._next_submission:
            self._next_submission = now + _SUBMIT_S
            self._slurm.submit(self._script(), self._all_flags(missing))
            self._look()

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

    def refuse(self, why: str) -> None:
        self._refused += 1
        if self._refused >= self._nodes:
            raise RunError(f"{why}. Install the same there, then give the same command again.")
        say(f"{why}; it gets no trials")

    def waiting_for(self) -> str:
        waiting = [task for task in self._tasks.values() if task.state == "PENDING"]
        if waiting:
            return f"waiting for Slurm: {counted(len(waiting), 'job')} pending ({waiting[0].reason})"
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
                self._failed[task.job] = self._why_failed(task)
        if len(self._failed) >= _MOST_FAILURES:
            raise RunError(list(self._failed.values())[-1])

    def _why_failed(self, task: Task) -> str:
        code = self._slurm.exit_code(task.job)
        if code == _EXIT_UNSEEN:
            raise RunError(
                f"the node {task.node} does not see {self.folder}: the folder of runs must be on a file system that "
                f"all nodes share. Set TEXT_RECOGNIZER_RUNS to a folder on one."
            )
        if code == _EXIT_NO_PYTHON:
            raise RunError(f"the node {task.node} has no {sys.executable}: the Python environment must be there too.")
        printed = sorted(self.folder.glob(f"slurm-{task.job}.txt"))
        lines = printed[-1].read_text(errors="replace").split("\n") if printed else []
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        return f"the agent on {task.node or 'a node'} ended before it was ready (Slurm says {task.state}): {last[:300]}"

    def _script(self) -> str:
        folder, python = shlex.quote(str(self.folder)), shlex.quote(sys.executable)
        return (
            "#!/bin/sh\n"
            f"[ -e {shlex.quote(str(self.sign))} ] || exit {_EXIT_UNSEEN}\n"
            f"[ -x {python} ] || exit {_EXIT_NO_PYTHON}\n"
            f'exec > {folder}/"slurm-$SLURM_JOB_ID.txt" 2>&1\n'
            f"export PYTHONPATH={shlex.quote(python_path())}\n"
            # Slurm's signals go to the batch script's own process.
            f"exec {python} -P -m training.executors.cluster.serve {folder}\n"
        )

    def _all_flags(self, count: int) -> list[str]:
        ours = [
            *(f"--array=0-{count - 1}", f"--job-name={self._slurm.name}", "--output=/dev/null"),
            # The driver submits others in the place of those that end.
            *("--nodes=1", "--ntasks=1", "--no-requeue", "--signal=B:USR1@60"),
        ]
        return [*ours, *self._flags]


class SlurmExecutor(Executor):
    """Executes runs on the nodes of a Slurm cluster."""

    def __init__(self, setting: Setting, cluster: SlurmCluster) -> None:
        self._pool = Pool(cluster, setting.jobs, say)

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
        _check(setting, nodes, partition, given)
        given = {"partition": partition, "time": time, **given}
        flags = [
            f"--{key}" if value in (None, True, "") else f"--{key}={value}"
            for key, value in given.items()
            if not (key in ("partition", "time") and value is None)
        ]
        if not given.keys() & set(_AMOUNTS):
            flags += ["--exclusive", "--mem=0"]
        each = setting if setting.jobs is None else _share(setting, nodes)
        cluster = SlurmCluster(each, nodes, flags)
        cluster.check()
        return cls(setting, cluster)

    @property
    def capacity(self) -> int:  # type: ignore[override]
        return self._pool.capacity

    def submit(self, run: Run, **launch: Any) -> Job:
        return self._pool.submit(run, launch)

    def rejoin(self, run: Run) -> Job | None:
        return self._pool.rejoin(run)

    def drive(self, loop: Callable[[], T]) -> T:
        self._pool.begin()
        return loop()

    def kill(self) -> None:
        self._pool.kill()

    def close(self) -> None:
        self._pool.close()


def _share(setting: Setting, nodes: int) -> Setting:
    """An agent's part of the runs at once."""
    assert setting.jobs is not None
    return replace(setting, jobs=-(-setting.jobs // nodes))


def _check(setting: Setting, nodes: int, partition: str | None, options: Mapping[str, object]) -> None:
    """What can be known before anything is submitted."""
    if nodes < 1:
        raise SpecError(f"--nodes must be at least 1. {received(nodes)}")
    if owned := [key for key in options if key in _OURS]:
        raise SpecError(f"--slurm {owned[0]}: Text Recognizer sets this option of sbatch itself. Leave it out.")
    gpus = partitions()
    if partition is not None and (unknown := [name for name in partition.split(",") if name not in gpus]):
        raise SpecError(
            f"there is no partition '{unknown[0]}' here.{did_you_mean(unknown[0], list(gpus))} "
            f"There are: {', '.join(sorted(gpus))}."
        )
    asked = partition.split(",") if partition is not None else list(gpus)
    most = max((gpus[name] for name in asked), default=0)
    if setting.request.count > max(1, most) or (setting.request.shares and not most):
        raise DeviceError(f"each trial asks for {setting.request.text}; a node has at most {most}. Ask for fewer.")
