"""Addresses for processes that a test starts."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def free_addresses(count: int) -> Iterator[list[str]]:
    """On ports that nobody else is given meanwhile: they stay bound, and whoever listens there reuses them."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
    try:
        yield [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    finally:
        for one in held:
            one.close()
