"""ZygoteProcess: the zygote as its driver sees it."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Literal

from training.executors.zygote.channel import Channel, Message
from training.executors.zygote.starting import python_path, zygote_command
from training.files.processes import kill_with_children

Isolation = Literal["fork", "exec"]


class ZygoteProcess:
    """A zygote that was started just now; it reports when it is ready.

    Args:
        isolation: how it is to start runs; it falls back to "exec" where it must not be forked.
        preload: a user's modules.
        grace_s: what runs get to reach a checkpoint when they are asked to end.
        environ: for the libraries it imports.
    """

    def __init__(
        self, isolation: Isolation, preload: Sequence[str], grace_s: float, environ: Mapping[str, str]
    ) -> None:
        here, there = socket.socketpair()
        self._channel = Channel(here)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        # TensorFlow's start-up notes; and nothing that a user's module does may touch a device.
        quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"), "CUDA_VISIBLE_DEVICES": "-1"}
        options = {"channel": there.fileno(), "driver": os.getpid(), "isolation": isolation, "because": None}
        self._process = subprocess.Popen(
            zygote_command({**options, "grace_s": grace_s, "preload": list(preload)}),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env={**os.environ, **environ, **quiet, "PYTHONPATH": python_path()},
            pass_fds=[there.fileno()],
            start_new_session=True,  # Ctrl-C at the terminal is the driver's affair
        )
        there.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._channel.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """A zygote that is gone gets nothing; receive() will say so."""
        with contextlib.suppress(OSError):
            self._channel.send(message, descriptors)

    def receive(self) -> list[Message] | None:
        """The messages that have arrived; None when the zygote is gone."""
        try:
            messages = self._channel.receive()
        except OSError:
            return None
        return None if messages is None else [message for message, _ in messages]

    def finish(self) -> None:
        """Asks it to end its runs, then itself."""
        self.wake()
        self._channel.finish()

    def death(self) -> str:
        """Waits for its end; how it ended, for people."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:  # it closed its socket but does not end
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
        """Kills it with all that it started, suspended or not. Takes no lock: signal handlers may call it."""
        if self._process.returncode is None:  # not reaped
            kill_with_children(self.pid)
