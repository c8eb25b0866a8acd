"""Training on several Ray nodes: an actor on each starts a process, and forwards signals."""

import json
import secrets
import shlex
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError, TextRecognizerError
from training.devices.requests import DeviceRequest
from training.executors.cluster.folder_cluster import exports
from training.executors.cluster.handshake import handshake, make_sign, refusals
from training.executors.cluster.ray import Node, actor_on, connect, least_gpus, nodes_for, process_kind, ray_core
from training.runs.places import runs_folder

_FIRST_PORT, _PORTS = 10_000, 20_000  # below the kernel's ephemeral ports
_LOOK_S = 0.5
_Start = tuple[Node, Any]  # with its actor
# Time for a node to respond, if others could replace it, and if none is left.
_ANSWER_S, _LAST_ANSWER_S = 10.0, 60.0


def nodes_to_train_on(nodes: int, address: str, request: DeviceRequest) -> Callable[[Sequence[str]], int]:
    """A function that executes a command once on each of several Ray nodes, as the processes of one training.

    Their output is printed here; signals to this process are forwarded. The exit code is that of the first, the chief.
    Raises RunError: Ray has lost the chief.

    Args:
        request: the devices of each process.
    Raises:
        SpecError: no cluster, or too few nodes with such devices.
        RunError: too few nodes respond, or one does not share the folder of runs.
    """
    connect(address, log_to_driver=True)
    there = sorted(nodes_for(request), key=lambda node: -node.gpus)
    try:
        if not 1 <= nodes <= len(there):
            which = f" with {request.text}" if least_gpus(request) else ""
            raise SpecError(
                f"--nodes must be at least 1 and at most as many as Ray has{which}: {len(there)}. Received: {nodes}."
            )
        starts = _answering(nodes, there)
    except TextRecognizerError:
        ray_core().shutdown()
        raise
    return lambda command: _train(starts, command)


def _train(starts: Sequence[_Start], command: Sequence[str]) -> int:
    first_port = _FIRST_PORT + secrets.randbelow(_PORTS)
    workers = [f"{node.address}:{first_port + rank}" for rank, (node, _) in enumerate(starts)]
    results = []
    for rank, (_, actor) in enumerate(starts):
        facts = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}}
        more = {"TF_CONFIG": json.dumps(facts), "PYTHONUNBUFFERED": "1"}
        script = [f"cd {shlex.quote(str(Path.cwd()))}", *exports(**more), f"exec {shlex.join(command)}"]
        results.append(actor.run.remote("\n".join(script)))
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    try:
        while ray_core().wait(results, num_returns=len(results), timeout=_LOOK_S)[1]:
            while signals:
                starts[0][1].signal.remote(signals.pop())
        return int(ray_core().get(results[0]))  # Ray itself disconnects at exit, after the remaining output
    except ray_core().exceptions.RayError as error:
        raise RunError(f"Ray lost {workers[0]}, the chief ({type(error).__name__}). Continue with --resume.") from error


def _answering(count: int, nodes: Sequence[Node]) -> list[_Start]:
    """The required number of nodes whose actors have passed the handshake: Ray lists dead nodes for some time."""
    kind, left, sign = process_kind(), list(nodes), make_sign(runs_folder().resolve())
    asked: dict[Any, _Start] = {}  # by the reference of the result
    answering: list[_Start] = []
    try:
        while (missing := count - len(answering)) > 0:
            for node in left[:missing]:
                actor = actor_on(node, kind, max_concurrency=2)
                asked[actor.run.remote("\n".join(handshake(sign)))] = node, actor
            left = left[missing:]
            wait_s = _ANSWER_S if left else _LAST_ANSWER_S
            many = {"num_returns": min(missing, len(asked)), "timeout": wait_s}
            ready = ray_core().wait(list(asked), **many)[0] if asked else []
            if not (ready or left):
                raise RunError(
                    f"{len(answering)} of {len(nodes)} nodes of Ray answer; --nodes {count} needs more. Ray lists a "
                    f"dead node for a while. Start another with ray start, or ask for fewer."
                )
            for answer in ready:
                start = asked.pop(answer)
                with suppress(ray_core().exceptions.RayError):
                    exit_code = ray_core().get(answer)
                    if exit_code != 0:
                        raise RunError(refusals(f"the node {start[0].host}", sign.parent)[exit_code])
                    answering.append(start)
    finally:
        sign.unlink(missing_ok=True)
    for _, actor in asked.values():
        ray_core().kill(actor)
    return answering
