"""Channel: JSON messages, and open files with them, between two processes of a machine."""

import contextlib
import json
import socket
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]

_MOST_DESCRIPTORS = 253  # SCM_MAX_FD of Linux: no message can carry more
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Channel:
    """One end. A message is a line; its descriptors travel with its first byte."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._received = b""
        self._descriptors: list[int] = []

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Sends a message; the kernel keeps its files open until they are received. An OSError at a closed end."""
        data = json.dumps({**message, "descriptors": len(descriptors)}).encode() + b"\n"
        sent = socket.send_fds(self._end, [data], list(descriptors)) if descriptors else 0
        self._end.sendall(data[sent:])

    def receive(self) -> list[tuple[Message, list[int]]] | None:
        """Waits for messages; those that have arrived, with their descriptors, or None when the other end is closed."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, 1 << 16, _MOST_DESCRIPTORS, _CLOSE_ON_EXEC)
        except ConnectionResetError:
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
