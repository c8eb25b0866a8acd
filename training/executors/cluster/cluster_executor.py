"""ClusterExecutor: runs executed by the agents of a cluster; what its transports have in common."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from text_recognizer.errors import DeviceError, SpecError
from text_recognizer.wording import received
from training.executors.base import Executor, Job, Setting
from training.executors.cluster.folder_cluster import FolderCluster
from training.executors.cluster.pool import Pool
from training.runs.run import Run
from training.terminal.command_line import say

T = TypeVar("T")


class ClusterExecutor(Executor):
    """Executes runs on the nodes of a cluster."""

    def __init__(self, setting: Setting, cluster: FolderCluster) -> None:
        self._pool = Pool(cluster, setting.jobs, say)

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


def check_nodes(nodes: int) -> None:
    if nodes < 1:
        raise SpecError(f"--nodes must be at least 1. {received(nodes)}")


def check_devices(setting: Setting, most_gpus: int) -> None:
    """Whether a node can have the devices of a run; one GPU may be the CPU instead."""
    if setting.request.count > max(1, most_gpus) or (setting.request.shares and not most_gpus):
        raise DeviceError(f"each trial asks for {setting.request.text}; a node has at most {most_gpus}. Ask for fewer.")


def share(setting: Setting, nodes: int) -> Setting:
    """What an agent needs to know: its part of the runs at once."""
    return setting if setting.jobs is None else replace(setting, jobs=-(-setting.jobs // nodes))
