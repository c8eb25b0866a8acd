"""The zygote of a warm sweep: a fork of its driver, made before that does anything, which waits to become it.

So it has imported TensorFlow as well. One that takes its place, should it be killed, is started as usual.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import IO, Any, NoReturn

_LONGEST_ORDER = 1 << 17


class WarmZygote:
    """As much of subprocess.Popen as the driver of a zygote uses."""

    def __init__(self) -> None:
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._here.close()  # whose end is the driver's
            _become_zygote(there)
        there.close()
        self._here.recv(1)  # it has its own session, by which it is killed
        self.returncode: int | None = None

    def start(self, options: str, output: IO[bytes], environ: dict[str, str], channel: int) -> "WarmZygote":
        order = json.dumps({"options": options, "environ": environ}).encode()
        socket.send_fds(self._here, [order], (output.fileno(), channel))
        return self

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        if self.returncode is None:
            descriptor = os.pidfd_open(self.pid)
            ended, _, _ = select.select([descriptor], [], [], timeout)
            os.close(descriptor)
            if not ended:
                raise subprocess.TimeoutExpired("zygote", timeout or 0)
        return self.poll()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Subprocess:
    """In place of the module."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    def __init__(self) -> None:
        self._waiting = [WarmZygote()]

    def Popen(self, command: list[str], **given: Any) -> Any:  # noqa: N802 - its name there
        if not self._waiting:
            return subprocess.Popen(command, **given)
        return self._waiting.pop().start(command[-1], given["stdout"], given["env"], *given["pass_fds"])


def prepare() -> None:
    """For the first thing that a process does."""
    from training.executors.zygote import zygote_process

    vars(zygote_process)["subprocess"] = _Subprocess()


def _become_zygote(orders: socket.socket) -> NoReturn:
    try:
        os.setsid()
        orders.send(b"\0")
        text, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, 2)
        if text:
            from training.executors.zygote.zygote import main

            order, (output, channel) = json.loads(text), descriptors
            for number in (1, 2):
                os.dup2(output, number)
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
            os.set_inheritable(channel, True)  # by the fresh interpreter that it may have to become
            os.environ.clear()
            os.environ.update(order["environ"])
            sys.argv = ["zygote", json.dumps({**json.loads(order["options"]), "channel": channel})]
            main()
    finally:
        os._exit(1)
