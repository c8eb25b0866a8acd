"""Peers: the processes of one training on several hosts, and their messages besides the training itself.

They connect before TensorFlow starts, so that mistakes are reported within the first seconds. The connections to the
chief stay open: the chief sends the next step, and every process notices when another one dies, for which TensorFlow's
collective operations may wait forever.
"""

import contextlib
import errno
import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from text_recognizer.errors import RunError
from text_recognizer.experiment import Experiment
from training.attempts.cluster import Cluster
from training.runs.environment import code_version, decisive_versions, package_versions
from training.terminal.command_line import say

PATIENCE_S = 600.0
_ANSWER_S = 10.0  # for the first line of a connection
_RETRY_S = 0.2
_NEWS_S = 2.0
_LONGEST_LINE = 1 << 16
_UNAVAILABLE = 14

Message = dict[str, Any]


class PeerLostError(RunError):
    """A process of the training has ended or cannot be reached; the training up to the checkpoint is safe."""


class Peers:
    """The other processes by rank: all others for the chief, only the chief for the others."""

    def __init__(self, cluster: Cluster, links: Mapping[int, socket.socket]) -> None:
        self.cluster = cluster
        self._links = links
        self._heard: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._closing = False
        self._lost: str = ""
        self.stop_signal: str | None = None  # received by another process
        self.exit_code = RunError.exit_code  # of the chief, unless it reports another one
        self._listeners = [threading.Thread(target=self._listen, args=(rank,), daemon=True) for rank in links]
        for listener in self._listeners:
            listener.start()

    @property
    def is_chief(self) -> bool:
        return self.cluster.rank == 0

    def tell(self, **message: Any) -> None:
        """Sends a message to all peers; dead ones are detected when listening."""
        _tell_all(self._links, message)

    def hear(self, key: str) -> Any:
        """The chief's next message with this key; None after its end. Raises PeerLostError: the chief has died."""
        message = self._heard.get()
        self.check()
        return message.get(key)

    def check(self) -> None:
        """Checks that no process was lost. Raises PeerLostError: a process has ended prematurely."""
        if (lost := self.lost()) is not None:
            raise lost

    def has_ended(self) -> bool:
        """Whether the chief has ended the training, or has died; waits a moment, as TensorFlow may notice it first."""
        for listener in self._listeners:
            listener.join(_NEWS_S)
        return self._closing or bool(self._lost)

    def lost(self) -> PeerLostError | None:
        """The error for the user, if a process has ended prematurely."""
        if not self._lost:
            return None
        return PeerLostError(
            f"{self._lost}, or its connection broke; see its own output for the reason. Start all "
            "processes again, with --resume."
        )

    def close(self) -> None:
        """Ends the training for all: the chief sends its exit code."""
        self._closing = True
        if self.is_chief:
            self.tell(exit_code=self.exit_code)
        for link in self._links.values():
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def _listen(self, rank: int) -> None:
        with contextlib.suppress(OSError, ValueError), self._links[rank].makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "exit_code" in message:
                    self.exit_code, self._closing = message["exit_code"], True
                self.stop_signal = message.get("stop_signal", self.stop_signal)
                self._heard.put(message)
        if not self._closing:
            self._lost = f"{self.cluster.name(rank)} of this training has ended"
            self._heard.put({})
            _abort_collective_operations(self._lost)


@contextlib.contextmanager
def meeting(experiment: Experiment, cluster: Cluster | None = None) -> Iterator[Peers | None]:
    """Connects the processes of the training, if its spec has several; they must have the same spec and code.

    Args:
        cluster: by default from the environment.
    Raises:
        SpecError: the environment does not define them.
        RunError: one is missing, or differs from the others.
    """
    if experiment.train_args.distribution != "multi_worker":
        yield None
        return
    cluster = cluster or Cluster.from_environ()
    facts = _facts(experiment, cluster)
    others = range(1, len(cluster.addresses)) if cluster.rank == 0 else [0]
    if others:
        say(f"waiting for {', '.join(map(cluster.name, others))}")
        # A name server may take seconds to answer.
        threading.Thread(target=_warn_of_unknown_names, args=(cluster, others), daemon=True).start()
    peers = Peers(cluster, _await_others(cluster, facts) if cluster.rank == 0 else {0: _join_chief(cluster, facts)})
    try:
        yield peers
    finally:
        peers.close()


def _facts(experiment: Experiment, cluster: Cluster) -> Message:
    """Facts that must be equal in all processes."""
    code = {name: version for name, version in code_version(experiment.spec).items() if name != "working_folder"}
    return {
        "cluster": list(cluster.addresses),
        "spec": experiment.spec.digest,
        "data": experiment.dataset.fingerprint,
        "code": code,
        "packages": decisive_versions(package_versions()),
    }


def _await_others(cluster: Cluster, facts: Message) -> dict[int, socket.socket]:
    """The chief's connections to all others, by rank."""
    links: dict[int, socket.socket] = {}
    deadline = time.monotonic() + PATIENCE_S
    try:
        with _listening(cluster) as server:
            while missing := [rank for rank in range(1, len(cluster.addresses)) if rank not in links]:
                server.settimeout(max(0.001, deadline - time.monotonic()))
                _let_in(server, missing, links, cluster, facts)
    except RunError as error:
        _tell_all(links, {"refused": str(error)})
        for link in links.values():
            link.close()
        raise
    _tell_all(links, {"refused": None})
    return links


def _let_in(
    server: socket.socket, missing: list[int], links: dict[int, socket.socket], cluster: Cluster, facts: Message
) -> None:
    """Adds a connection."""
    try:
        link, _ = server.accept()
    except TimeoutError:
        raise RunError(
            f"{', '.join(map(cluster.name, missing))} did not connect within {PATIENCE_S:g} s. Start all processes of "
            f"TF_CONFIG, and let them reach {cluster.addresses[0]}."
        ) from None
    hello = _receive(link)
    rank = hello.get("rank")
    if type(rank) is not int or not 0 < rank < len(cluster.addresses):  # a port scanner
        link.close()
        return
    if rank in links:  # it was restarted
        links[rank].close()
    links[rank] = link
    differing = [name for name, value in facts.items() if hello.get(name) != value]
    if differing:
        raise RunError(
            f"{cluster.name(rank)} and {cluster.name(0)} differ in {' and '.join(differing)}. Start all processes with "
            f"the same spec, TF_CONFIG, code and packages, on the same data."
        )


def _listening(cluster: Cluster) -> socket.socket:
    """The chief's listening socket until all have connected; then TensorFlow uses the address."""
    address = cluster.host_and_port(0)
    try:
        try:
            server = socket.create_server(address)
            if server.getsockname()[0] != "127.0.1.1":  # Debian's for the host name; others cannot reach it
                return server
            server.close()
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # in some clusters, the name of a service resolves to this host
                raise
        return socket.create_server(("", address[1]))
    except OSError as error:
        raise RunError(
            f"this is process 0 of TF_CONFIG, but cannot listen on {cluster.addresses[0]}: "
            f"{(error.strerror or str(error)).partition(' (while')[0]}. Give an address of this host, with a free port."
        ) from None


def _warn_of_unknown_names(cluster: Cluster, ranks: Iterable[int]) -> None:
    for rank in ranks:
        try:
            socket.getaddrinfo(*cluster.host_and_port(rank))
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            say(f"warning: this host does not know the name of {cluster.name(rank)}: {why}. Is it misspelt?")


def _join_chief(cluster: Cluster, facts: Message) -> socket.socket:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        left_s = deadline - time.monotonic()
        try:
            link = socket.create_connection(cluster.host_and_port(0), timeout=max(0.001, left_s))
            _send(link, {"rank": cluster.rank, **facts})
            answer = _receive(link, PATIENCE_S + _ANSWER_S)  # once all have connected
        except OSError as error:
            if left_s <= 0:
                raise RunError(
                    f"{cluster.name(0)}, the chief, did not answer within {PATIENCE_S:g} s: "
                    f"{error.strerror or error}. Start it, and let this host reach it."
                ) from None
            time.sleep(_RETRY_S)
            continue
        if "refused" in answer and answer["refused"] is None:
            return link
        link.close()
        if "refused" in answer:
            raise RunError(f"the chief refuses to train: {answer['refused']}")
        time.sleep(_RETRY_S)  # it is restarting, or another program had the port


def _tell_all(links: Mapping[int, socket.socket], message: Message) -> None:
    for link in links.values():
        with contextlib.suppress(OSError):
            _send(link, message)


def _send(link: socket.socket, message: Message) -> None:
    link.sendall(json.dumps(message).encode() + b"\n")


def _receive(link: socket.socket, patience_s: float = _ANSWER_S) -> Message:
    """The first message of a connection; empty for anything else."""
    link.settimeout(patience_s)
    with contextlib.suppress(OSError, ValueError), link.makefile("rb", buffering=0) as stream:
        message = json.loads(stream.readline(_LONGEST_LINE))  # unbuffered: the rest is for another reader
        link.settimeout(None)
        return message if isinstance(message, dict) else {}
    return {}


def _abort_collective_operations(reason: str) -> None:
    if "tensorflow" in sys.modules:
        from tensorflow.python.eager import context

        with contextlib.suppress(AssertionError):  # not started yet
            context.context().abort_collective_ops(_UNAVAILABLE, reason)
