"""RayExecutor: agents started by Ray, one actor per node. Ray only starts them; runs and results are in the folder.

An actor only starts the agent's process and waits for it. Driver and agent communicate through the sweep's folder, as
with Slurm.
"""

import os
import secrets
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from text_recognizer.errors import DeviceError, SpecError
from text_recognizer.wording import counted, received
from training.devices.requests import DeviceRequest
from training.executors.base import Setting
from training.executors.cluster.folder_cluster import FolderCluster, check_devices, share
from training.executors.cluster.mailbox import BEAT_S
from training.executors.cluster.pool import ClusterExecutor
from training.terminal.command_line import say

_CONNECT_S = 5.0
_LOOK_S, _START_S, _AVOID_S = 0.5, 2.0, 10.0
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


class Node(NamedTuple):
    """A node with resources."""

    id: str
    host: str
    address: str
    gpus: int


@dataclass(eq=False)
class _Start:
    node: Node
    actor: Any
    result: Any
    over: str | None = None  # why its process has ended


class RayCluster(FolderCluster):
    """Keeps an agent on each usable node of a Ray cluster, including later ones, or on `most` of them."""

    def __init__(self, setting: Setting, most: int | None) -> None:
        super().__init__(setting, 1)
        self._most = most
        self._starts: dict[str, _Start] = {}  # by the agent's job name
        self._avoid: dict[str, float] = {}  # nodes that lost an actor, until when: dead ones stay listed for a while
        self._process_kind = process_kind()
        self._next_look = self._next_start = 0.0

    def keep_up(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        self._notice_ends()
        nodes = nodes_for(self._setting.request)
        self.nodes = max(1, len(nodes) if self._most is None else min(self._most, len(nodes)))
        at_work = {start.node.id for start in self._starts.values() if start.over is None}
        useless = {start.node.id for job, start in self._starts.items() if job in self.refused}
        avoided = {node for node, until in self._avoid.items() if now < until}
        free = [node for node in nodes if node.id not in at_work | useless | avoided]
        missing = self.nodes - len(at_work | useless)
        if missing > 0 and free and now >= self._next_start:
            self._next_start = now + _START_S
            for node in free[:missing]:
                self._start(node)

    def why_lost(self, job: str, silent_s: float, hangs: bool) -> str | None:
        start = self._starts.get(job)
        if start is not None and start.over is None:
            if hangs:
                ray_core().kill(start.actor)
                start.over = "it hangs"
            return None
        # An agent whose actor has died lives until its runs have reached a checkpoint.
        if silent_s <= 3 * BEAT_S:
            return None
        return "the driver that started it is gone" if start is None else start.over

    def waiting_for(self) -> str:
        lost = next((f" ({start.over})" for start in reversed(self._starts.values()) if start.over), "")
        return f"waiting for an agent to start{lost}" if self._starts else "waiting for a node of the Ray cluster"

    def end_agents(self) -> None:
        ray_core().shutdown()  # ends a driver's actors, and the cluster that was started for it

    def _start(self, node: Node) -> None:
        job = f"{node.id[:8]}-{secrets.token_hex(3)}"
        actor = actor_on(node, self._process_kind)
        self._starts[job] = _Start(node, actor, actor.run.remote(self.script(job)))

    def _notice_ends(self) -> None:
        """Finds out which agents' processes have ended, and how."""
        pending = {start.result: job for job, start in self._starts.items() if start.over is None}
        if not pending:
            return
        ended, _ = ray_core().wait(list(pending), num_returns=len(pending), timeout=0)
        known = {agent.job for agent in self.agents.values()}
        if any(job in known for job, start in self._starts.items() if start.over is None):
            self._failures.clear()
        for job in map(pending.__getitem__, ended):
            start, exit_code = self._starts[job], None
            try:
                exit_code = ray_core().get(start.result)
                start.over = f"its process on {start.node.host} ended with exit code {exit_code}"
            except ray_core().exceptions.RayError as error:
                start.over = f"Ray lost its actor on {start.node.host} ({type(error).__name__})"
                self._avoid[start.node.id] = time.monotonic() + _AVOID_S
            ray_core().kill(start.actor)
            if job not in known and exit_code is not None:
                self.note_failure(job, f"the node {start.node.host}", exit_code)


class RayExecutor(ClusterExecutor):
    """Executes runs on the nodes of a Ray cluster."""

    @classmethod
    def open(cls, setting: Setting, nodes: int | None = None, address: str = "auto") -> "RayExecutor":
        """See Executor.open.

        Args:
            nodes: number of agents, one per node; None: one on each node.
            address: HOST:PORT of a cluster, or "auto": the one running here, else a new one for this sweep.
        """
        connect(address)
        there = usable_nodes()
        try:
            check_devices(setting, max((node.gpus for node in there), default=0))
        except DeviceError:
            ray_core().shutdown()
            raise
        if nodes is not None and nodes > len(there):
            say(
                f"--nodes {nodes}: Ray has {counted(len(there), 'usable node')} now. Nodes that join "
                "later get an agent too."
            )
        agents = max(1, min(nodes or len(there), len(there)))
        return cls(RayCluster(share(setting, agents), nodes), setting.jobs)


def connect(address: str, **options: Any) -> None:
    """Connects this process to a Ray cluster. Raises SpecError: no Ray, no response, or another version."""
    ray = ray_core()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from_environ = os.environ.pop("RAY_ADDRESS", None)  # otherwise Ray would prefer it to the given address
    found = from_environ if address == "auto" else address
    if found is not None:
        _check_answers(found)
    else:
        found = _started_here()
    try:
        if found is not None:
            ray.init(found, **_QUIET | options)
            return
        say("no Ray cluster is running here: starting one on this machine for this command")
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 leaves trials little beside other programs
        ray.init("local", include_dashboard=False, **_QUIET | options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SpecError(f"cannot connect to Ray at {found or 'this machine'}: {reason}") from error


def usable_nodes() -> list[Node]:
    """The nodes that Ray considers alive and that have resources; the head of a cluster often has none."""
    found = []
    for node in ray_core().nodes():
        cpus, gpus = (node["Resources"].get(name, 0) for name in ("CPU", "GPU"))
        if node["Alive"] and (cpus or gpus):
            found.append(Node(node["NodeID"], node["NodeManagerHostname"], node["NodeManagerAddress"], int(gpus)))
    return found


def nodes_for(request: DeviceRequest) -> list[Node]:
    """The usable nodes with such devices."""
    return [node for node in usable_nodes() if node.gpus >= least_gpus(request)]


def least_gpus(request: DeviceRequest) -> int:
    """The number of GPUs that a node must have; one GPU may be replaced by the CPU."""
    return request.count if request.count > 1 or request.shares else 0


def _check_answers(address: str) -> None:
    """Checks that the cluster responds: Ray itself would retry for minutes, and then exit this process."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise SpecError(f"--ray-address must be auto or HOST:PORT, like 10.0.0.1:6379. {received(address)}")
    if not _answers(host.strip("[]"), int(port)):
        raise SpecError(
            f"no Ray answers at {address}. Start its head with: ray start --head --port={port}, or use "
            f"--ray-address auto."
        )


def _answers(host: str, port: int) -> bool:
    """Whether a gRPC server, such as the head of a cluster, responds; a frame of type 4 contains its settings."""
    try:
        with socket.create_connection((host, port), _CONNECT_S) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            return connection.recv(4)[3:] == b"\4"
    except OSError:
        return False


def _started_here() -> str | None:
    """The address of the cluster last started by `ray start` on this machine, if it still responds."""
    try:
        folder = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray"
        address = (folder / "ray_current_cluster").read_text().strip()
        _check_answers(address)
    except (OSError, SpecError):
        return None
    return address


def actor_on(node: Node, kind: Any, **options: Any) -> Any:
    """A new actor on this node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return kind.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False), **options).remote()


def process_kind() -> Any:
    """The class of the actors. Ray sends it by value, so nodes need none of our code for it."""

    class NodeProcess:
        def run(self, script: str) -> int:
            import signal
            import subprocess

            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # Ray blocks it, and processes inherit that
            self.process = subprocess.Popen(["/bin/sh", "-c", script])
            return self.process.wait()

        def signal(self, number: int) -> None:
            self.process.send_signal(number)

    return ray_core().remote(num_cpus=0)(NodeProcess)


def ray_core() -> Any:
    """The library. Raises SpecError: it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise SpecError("there is no Ray here. Install it with: pip install 'text-recognizer[ray]'.") from error
    return ray
