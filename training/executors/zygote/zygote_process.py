"""ZygoteProcess: the driver's handle of the zygote, and the channel between the two."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from training.executors.zygote.order import python_path
from training.files.processes import kill_with_children

Isolation = Literal["fork", "exec"]
Message = dict[str, Any]

_MOST_DESCRIPTORS = 253  # SCM_MAX_FD of Linux: the maximum per message


class Channel:
    """One end of the channel. A message is a line; its descriptors are sent with its first byte."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._received = b""
        self._descriptors: list[int] = []

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Sends a message; the kernel keeps its files open until they are received. Raises OSError: closed."""
        data = json.dumps({**message, "descriptors": len(descriptors)}).encode() + b"\n"
        sent = socket.send_fds(self._end, [data], list(descriptors)) if descriptors else 0
        self._end.sendall(data[sent:])

    def receive(self) -> list[tuple[Message, list[int]]] | None:
        """Waits for messages; returns those that arrived, with descriptors, or None if the connection has ended."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, 1 << 16, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None
        if not data:
            return None
        self._descriptors += descriptors
        *lines, self._received = (self._received + data).split(b"\n")
        messages = []
        for message in map(json.loads, lines):
            count = message.pop("descriptors")
            messages.append((message, self._descriptors[:count]))
            del self._descriptors[:count]
        return messages

    def finish(self) -> None:
        """Closes this end for sending only."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._end.close()


class ZygoteProcess:
    """Starts a zygote, which reports when it is ready.

    Args:
        isolation: how it starts runs; falls back to "exec" if it must not fork.
        preload: a user's modules.
        grace_s: time for runs to reach a checkpoint when they are asked to end.
        environ: environment for the libraries that it imports.
    """

    def __init__(
        self, isolation: Isolation, preload: Sequence[str], grace_s: float, environ: Mapping[str, str]
    ) -> None:
        here, there = socket.socketpair()
        self._channel = Channel(here)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        # Hides TensorFlow's start-up notes; a user's module must not be able to use a device.
        quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"), "CUDA_VISIBLE_DEVICES": "-1"}
        options = {"channel": there.fileno(), "driver": os.getpid(), "isolation": isolation, "because": None}
        self._process = subprocess.Popen(
            zygote_command({**options, "grace_s": grace_s, "preload": list(preload)}),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env={**os.environ, **environ, **quiet, "PYTHONPATH": python_path()},
            pass_fds=[there.fileno()],
            start_new_session=True,  # Ctrl-C at the terminal is handled by the driver
        )
        there.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._channel.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Sends a message. A dead zygote gets nothing, which receive() reports."""
        with contextlib.suppress(OSError):
            self._channel.send(message, descriptors)

    def receive(self) -> list[Message] | None:
        """The messages that have arrived; None if the zygote has died."""
        messages = self._channel.receive()
        return None if messages is None else [message for message, _ in messages]

    def finish(self) -> None:
        """Asks it to end its runs, then itself."""
        self.wake()
        self._channel.finish()

    def death(self) -> str:
        """Waits for its end; returns how it ended, in words."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:  # it closed its socket but does not exit
            self._process.kill()
            code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._output.seek(0)
        lines = [line for line in self._output.read().decode(errors="replace").splitlines() if line.strip()]
        self._output.close()
        self._channel.close()
        return f"{how} ({lines[-1][:200]})" if code > 0 and lines else how

    def wake(self) -> None:
        """Resumes it if it was suspended, so that it reads its messages."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills it and everything it started, suspended or not. Takes no lock, so it is safe in signal handlers."""
        if self._process.returncode is None:  # not reaped
            kill_with_children(self.pid)


def zygote_command(options: dict[str, Any]) -> list[str]:
    """The command line of a zygote."""
    return [sys.executable, "-P", "-m", "training.executors.zygote.zygote", json.dumps(options)]
