"""A second process in a test: a function that runs in a fork and talks with the test line by line."""

import os
import signal
import socket
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from text_recognizer.tests.waiting import PATIENCE_S

Story = Callable[["Line"], object]

NOBODY = 65_534


class Line:
    """One end of the connection."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._file: TextIO = end.makefile("rw")

    def tell(self, text: str) -> None:
        self._file.write(f"{text}\n")
        self._file.flush()

    def hear(self, timeout_s: float = PATIENCE_S) -> str:
        """The next line of the other side; "" when it is gone."""
        self._end.settimeout(timeout_s)
        return self._file.readline().rstrip("\n")

    def close(self) -> None:
        self._file.close()
        self._end.close()


class Child(Line):
    """A forked process. An exception in it is told as "TypeOfIt: its text".

    Args:
        uid: become this user first; needs root.
    """

    def __init__(self, story: Story, uid: int | None = None) -> None:
        here, there = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            here.close()
            _live(story, Line(there), uid)
        there.close()
        super().__init__(here)
        self._running = True

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> None:
        if self._running:
            os.waitpid(self.pid, 0)
            self._running = False

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._running:
            self.kill()
        self.close()


def _live(story: Story, line: Line, uid: int | None) -> None:
    try:
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        story(line)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test shall hear it
        line.tell(f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)
