"""A sweep under random kills: python -m training.tests.cluster.cluster_kills slurm|ray FOLDER

On three nodes of this machine, an agent, a driver, a node or the head dies at random moments; the leaderboard must be
that of the same sweep without a cluster, and each trial over once.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.tests.cluster.cluster_support import Driver, SlurmNodes, commanded, parent_of, processes

TRIALS, KILLS = 50, 20
_STUCK_S = 600.0


class Victims(ABC):
    """What can be killed of a cluster."""

    options: list[str]

    @abstractmethod
    def kill_node(self, driver: Driver, rng: random.Random) -> str: ...

    @abstractmethod
    def kill_head(self) -> str: ...

    @abstractmethod
    def repair(self) -> None:
        """Brings back what was killed before."""


class SlurmVictims(Victims):
    def __init__(self, slurm: SlurmNodes) -> None:
        self.options = ["--executor=slurm"]
        self._slurm = slurm
        self._down: list[str] = []

    def kill_node(self, driver: Driver, rng: random.Random) -> str:
        jobs = [line.split() for line in commanded("squeue", "-h", "-t", "running", "-o", "%A %N").splitlines()]
        if not jobs:
            return "no node"
        job, node = rng.choice(jobs)
        agents = processes(f"node_agent {driver.sweep}/agents {job}")
        daemon = self._pid(node)
        kill_all([daemon, *map(parent_of, agents), *(pid for agent in agents for pid in [agent, *descendants(agent)])])
        self._down.append(node)
        return f"node {node}"

    def kill_head(self) -> str:
        kill_all([self._pid("slurmctld")])
        time.sleep(2)
        subprocess.run(["/usr/sbin/slurmctld"], check=False, capture_output=True)
        return "slurmctld"

    def _pid(self, daemon: str) -> int:
        return int((self._slurm.folder / f"{daemon}.pid").read_text())

    def repair(self) -> None:
        for node in self._down:
            subprocess.run(["/usr/sbin/slurmd", "-N", node], check=False, capture_output=True)
        self._down.clear()


class RayVictims(Victims):
    def __init__(self) -> None:
        self._cluster = self._new()

    def _new(self) -> Any:
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(3):
            cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        self.options = ["--executor=ray", f"--ray-address={cluster.address}"]
        return cluster

    def kill_node(self, driver: Driver, rng: random.Random) -> str:
        # A fake node's death leaves the agent of its actor; that of a machine does not.
        node = rng.choice(sorted(self._cluster.worker_nodes, key=lambda node: node.node_id))
        agents = processes(f"node_agent {driver.sweep}/agents {node.node_id[:8]}")
        kill_all([pid for agent in agents for pid in [agent, *descendants(agent)]])
        self._cluster.remove_node(node, allow_graceful=False)
        return f"node {node.node_id[:8]}"

    def kill_head(self) -> str:
        self.end()
        self._cluster = self._new()
        return "the whole cluster"

    def repair(self) -> None:
        while len(self._cluster.worker_nodes) < 3:
            self._cluster.add_node(num_cpus=2)

    def end(self) -> None:
        self._cluster.shutdown()


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in commanded("pgrep", "-P", str(pid)).split()]
    return [one for child in children for one in (child, *descendants(child))]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@contextmanager
def victims(name: str, folder: Path) -> Iterator[Victims]:
    if name == "slurm":
        with SlurmNodes(folder / "slurm") as slurm:
            yield SlurmVictims(slurm)
    else:
        ray = RayVictims()
        try:
            yield ray
        finally:
            ray.end()


def disturb(there: Path, cluster: Victims, trials: int, kills: int, rng: random.Random) -> tuple[Driver, list[str]]:
    """Drives a sweep to its end; what was killed, and when drivers ended without being killed."""

    def start() -> Driver:
        return Driver(there, *cluster.options, "--nodes=2", "--retries=0", sizes=trials)

    moments = sorted(rng.randrange(trials * 9 // 10) for _ in range(kills))
    driver, history, last = start(), list[str](), (time.monotonic(), 0)
    while (code := driver.exit_code()) != 0:
        over = len(driver.times_over())
        if over != last[1]:
            last = (time.monotonic(), over)
        elif time.monotonic() > last[0] + _STUCK_S:
            raise SystemExit(f"no progress for {_STUCK_S:.0f} s after {history}\n{driver.output()[-3000:]}")
        if code is not None:
            history.append(f"{over}: the driver ended with {code}: {driver.output().strip().splitlines()[-1]}")
            driver = start()
        elif moments and over >= moments[0]:
            moments.pop(0)
            time.sleep(rng.random() * 3)
            cluster.repair()
            kind = rng.choice(["driver", "driver", "agent", "agent", "agent", "node", "node", "head"])
            if kind == "driver":
                driver.kill()
            elif kind == "agent":
                agents = processes(f"node_agent {driver.sweep}/agents ")
                kill_all([rng.choice(agents)] if agents else [])
            elif kind == "node":
                kind = cluster.kill_node(driver, rng)
            else:
                kind = cluster.kill_head()
                driver.kill() if "cluster" in kind else None
            history.append(f"{over}: {kind}")
            print(history[-1], flush=True)
            if kind == "driver" or "cluster" in kind:
                driver = start()
        time.sleep(0.2)
    return driver, history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cluster", choices=("slurm", "ray"))
    parser.add_argument("folder", type=Path)
    for name, default in (("trials", TRIALS), ("kills", KILLS), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    reference = arguments.folder / f"here-{arguments.trials}"
    if not (reference / "table.json").exists():
        reference.mkdir(parents=True, exist_ok=True)
        here = Driver(reference, "--jobs=2", sizes=arguments.trials)
        while here.exit_code() is None:
            time.sleep(1)
        here.finish()
        (reference / "table.json").write_text(json.dumps(here.table()))
    there = arguments.folder / f"{arguments.cluster}-{arguments.seed}"
    there.mkdir()
    began = time.monotonic()
    with victims(arguments.cluster, there) as cluster:
        rng = random.Random(arguments.seed)
        driver, history = disturb(there, cluster, arguments.trials, arguments.kills, rng)
    print(*history, sep="\n")
    same = driver.table() == json.loads((reference / "table.json").read_text())
    once = driver.times_over() == [1] * arguments.trials
    print(
        f"{len(history)} deaths in {time.monotonic() - began:.0f} s; same leaderboard as here: {same}; each trial over "
        f"once: {once}; failures: {sorted(driver.failures())}"
    )
    if not (same and once and driver.failures() <= {"preempted"}):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
