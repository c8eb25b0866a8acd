"""One training on several nodes of Ray: an actor on each starts a process, and passes signals on."""

import json
import secrets
import shlex
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError
from training.devices.requests import DeviceRequest
from training.executors.cluster.folder_cluster import exports
from training.executors.cluster.ray import Node, actor_on, connect, least_gpus, nodes_for, process_kind, ray_core

_FIRST_PORT, _PORTS = 10_000, 20_000  # below those that the kernel gives away
_LOOK_S = 0.5
# How long a node may take to answer, where others could take its place, and where none is left.
_ANSWER_S, _LAST_ANSWER_S = 10.0, 60.0


def nodes_to_train_on(nodes: int, address: str, request: DeviceRequest) -> Callable[[Sequence[str]], int]:
    """What executes a command once on each of several nodes of Ray, as the processes of one training.

    What they print is printed here; a signal to this process is theirs. The exit code is that of the first, their
    chief; a RunError where too few nodes answer, or Ray loses the chief.

    Args:
        request: the devices of each process.
    Raises:
        SpecError: no cluster, or fewer nodes with such devices.
    """
    connect(address, log_to_driver=True)
    there = len(nodes_for(request))
    if not 1 <= nodes <= there:
        ray_core().shutdown()
        which = f" with {request.text}" if least_gpus(request) else ""
        raise SpecError(
            f"--nodes must be at least 1 and at most as many as Ray has{which}: {there}. Received: {nodes}."
        )
    return lambda command: _train(nodes, request, command)


def _train(nodes: int, request: DeviceRequest, command: Sequence[str]) -> int:
    first_port = _FIRST_PORT + secrets.randbelow(_PORTS)
    starts = _answering(nodes, sorted(nodes_for(request), key=lambda node: -node.gpus))
    workers = [f"{node.address}:{first_port + rank}" for rank, (node, _) in enumerate(starts)]
    results = []
    for rank, (_, actor) in enumerate(starts):
        facts = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}}
        more = {"TF_CONFIG": json.dumps(facts), "PYTHONUNBUFFERED": "1"}
        script = [f"cd {shlex.quote(str(Path.cwd()))} || exit", *exports(**more), f"exec {shlex.join(command)}"]
        results.append(actor.run.remote("\n".join(script)))
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    try:
        while ray_core().wait(results, num_returns=nodes, timeout=_LOOK_S)[1]:
            while signals:
                starts[0][1].signal.remote(signals.pop())
        return int(ray_core().get(results[0]))  # Ray itself disconnects at exit, after what is still being printed
    except ray_core().exceptions.RayError as error:
        raise RunError(f"Ray lost {workers[0]}, the chief ({type(error).__name__}). Continue with --resume.") from error


def _answering(count: int, nodes: Sequence[Node]) -> list[tuple[Node, Any]]:
    """So many of the nodes, each with an actor that has answered: Ray lists a dead node for a while."""
    kind, left = process_kind(), list(nodes)
    asked: dict[Any, tuple[Node, Any]] = {}  # by what will hold the answer
    answering: list[tuple[Node, Any]] = []
    while (missing := count - len(answering)) > 0:
        for node in left[:missing]:
            actor = actor_on(node, kind, max_concurrency=2)
            asked[actor.ping.remote()] = node, actor
        left = left[missing:]
        wait_s = _ANSWER_S if left else _LAST_ANSWER_S
        ready = ray_core().wait(list(asked), num_returns=min(missing, len(asked)), timeout=wait_s)[0] if asked else []
        if not (ready or left):
            ray_core().shutdown()
            raise RunError(
                f"{len(answering)} of {len(nodes)} nodes of Ray answer; --nodes {count} needs more. Ray lists a dead "
                f"node for a while. Start another with ray start, or ask for fewer."
            )
        for answer in ready:
            start = asked.pop(answer)
            with suppress(ray_core().exceptions.RayError):
                ray_core().get(answer)
                answering.append(start)
    for _, actor in asked.values():
        ray_core().kill(actor)
    return answering
