"""Cluster: the processes of one training and their addresses, from TF_CONFIG or from Slurm."""

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from text_recognizer.errors import SpecError, reason
from text_recognizer.wording import received

_EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
_USUAL_PORT = 12345
_GROUP = re.compile(r"(?:[^,\[\]]|\[[^\]]*\])+")  # of Slurm's nodes: up to a comma outside of brackets
# Below the kernel's ephemeral ports; jobs that share a node get different ones.
_FIRST_SLURM_PORT, _SLURM_PORTS, _PORTS_OF_A_JOB = 10_000, 20_000, 64


@dataclass(frozen=True)
class Cluster:
    """The processes of one training as HOST:PORT each; the first, rank 0, is the chief."""

    addresses: tuple[str, ...]
    rank: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Cluster":
        """From TF_CONFIG, else from this process's Slurm step. Raises SpecError: neither exists, or it is invalid."""
        if environ.get("TF_CONFIG"):
            return _from_tf_config(environ["TF_CONFIG"])
        if "SLURM_PROCID" in environ:
            return _from_slurm(environ)
        raise SpecError(
            f"train_args.distribution 'multi_worker' needs TF_CONFIG in the environment, which names all processes and "
            f"says which of them this is, or --nodes, --hosts or srun. Example: TF_CONFIG='{_EXAMPLE}'"
        )

    @classmethod
    def of_hosts(cls, text: str) -> "Cluster":
        """One process on each HOST[:PORT], including this host. Raises SpecError: invalid, or without this host."""
        addresses = [one if _is_address(one) else f"{one}:{_USUAL_PORT}" for one in text.split(",")]
        if not all(map(_is_address, addresses)) or len({*addresses}) < len(addresses):
            raise SpecError(f"--hosts takes HOST,… or HOST:PORT,…, each once. {received(text)}")
        cluster = cls(tuple(addresses), 0)
        here = [rank for rank in range(len(addresses)) if _is_here(cluster.host_and_port(rank)[0])]
        if len(here) != 1:
            raise SpecError(
                f"--hosts must have one name or address of this host, {socket.gethostname()}; {len(here)} are. "
                f"{received(text)} If host names do not identify the hosts, set TF_CONFIG instead."
            )
        return replace(cluster, rank=here[0])

    def host_and_port(self, rank: int) -> tuple[str, int]:
        host, _, port = self.addresses[rank].rpartition(":")
        return host.strip("[]"), int(port)

    def name(self, rank: int) -> str:
        return f"process {rank} ({self.addresses[rank]})"


def _from_tf_config(text: str) -> Cluster:
    try:
        value = json.loads(text)
        jobs = dict(value["cluster"])
        kind, index = value["task"]["type"], value["task"]["index"]
        index = int(index) if isinstance(index, str) and re.fullmatch("[0-9]{1,9}", index) else index  # as shells write
        groups = {job: [str(address) for address in jobs.pop(job, ())] for job in ("chief", "worker")}
    except (ValueError, LookupError, TypeError, RecursionError):
        raise SpecError(f"TF_CONFIG must be like {_EXAMPLE}. {received(text)}") from None
    addresses = [*groups["chief"], *groups["worker"]]
    for problem, is_so in {
        f"names the jobs {', '.join(map(str, jobs))}; only 'chief' and 'worker' train": jobs,
        "names several chiefs; there can be one": len(groups["chief"]) > 1,
        "must give every process an address of its own, as HOST:PORT": len({*addresses}) < len(addresses)
        or not all(map(_is_address, addresses)),
        f"says that this is the task {kind!r} {index!r}, which its cluster has not": kind not in groups
        or type(index) is not int
        or not 0 <= index < len(groups[kind]),
    }.items():
        if is_so:
            raise SpecError(f"TF_CONFIG {problem}. {received(text)}")
    return Cluster(tuple(addresses), index + (len(groups["chief"]) if kind == "worker" else 0))


def _is_here(host: str) -> bool:
    try:
        socket.create_server((host, 0)).close()
    except OSError:  # an address of another host, or not a host name
        return False
    return True


def _is_address(address: str) -> bool:
    found = re.fullmatch(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", address, re.ASCII)
    return found is not None and 0 < int(found[1]) < 1 << 16


def _from_slurm(environ: Mapping[str, str]) -> Cluster:
    """One process per task of the job step."""
    try:
        rank, job = int(environ["SLURM_PROCID"]), int(environ["SLURM_JOB_ID"])
        nodes = [node for group in _GROUP.findall(environ["SLURM_STEP_NODELIST"]) for node in _expanded(group)]
        repeated = re.findall(r"(\d+)(?:\(x(\d+)\))?", environ["SLURM_STEP_TASKS_PER_NODE"])  # like 2,1(x3)
        tasks = [int(count) for count, times in repeated for _ in range(int(times or 1))]
        hosts = [node for node, count in zip(nodes, tasks, strict=True) for _ in range(count)]
    except (ValueError, LookupError) as error:
        raise SpecError(
            f"the variables SLURM_PROCID, SLURM_JOB_ID, SLURM_STEP_NODELIST and SLURM_STEP_TASKS_PER_NODE do not say "
            f"which processes train together: {reason(error)}. Start the run by srun, or set TF_CONFIG."
        ) from None
    first_port = _FIRST_SLURM_PORT + job * _PORTS_OF_A_JOB % _SLURM_PORTS
    # Different ports, as several nodes may be on one host.
    addresses = [f"{host}:{first_port + n % _PORTS_OF_A_JOB}" for n, host in enumerate(hosts)]
    return Cluster(tuple(addresses), rank)


def _expanded(group: str) -> list[str]:
    """Expands a group of nodes like rack[1-2]node[08-09,11]."""
    prefix, bracket, rest = group.partition("[")
    if not bracket:
        return [group]
    ranges, _, rest = rest.partition("]")
    bounds = [(low, high or low) for low, _, high in (one.partition("-") for one in ranges.split(","))]
    numbers = [f"{number:0{len(low)}}" for low, high in bounds for number in range(int(low), int(high) + 1)]
    return [f"{prefix}{number}{end}" for number in numbers for end in _expanded(rest)]
