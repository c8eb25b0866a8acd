"""Runs the service on a port until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from text_recognizer.errors import DataError, reason
from text_recognizer.serving.app import make_app
from text_recognizer.serving.service import Service

STOP_TIMEOUT_S = 30  # for open requests
HEAD_TIMEOUT_S = 15.0
EXIT_INTERRUPTED = 130


class Connection(H11Protocol):
    """Closes if the headers of a request do not arrive in time; uvicorn only limits the time between requests."""

    head_timeout_s = HEAD_TIMEOUT_S
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        """The limit counts from the start of the wait: bytes that trickle in do not extend it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._limit is None:
            self._limit = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class _Server(uvicorn.Server):
    """Ends at once on a second Ctrl-C; uvicorn would cancel each open request, with a traceback."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            with contextlib.suppress(OSError):
                os.write(2, b"interrupted\n")  # the signal may have interrupted a print()
            os._exit(EXIT_INTERRUPTED)
        super().handle_exit(sig, frame)


def serve(service: Service, host: str, port: int) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes open requests; a second Ctrl-C ends it at once.

    Raises:
        DataError: the port is in use, or the host is not an address of this machine.
    """
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except (OSError, UnicodeError) as error:
        raise DataError(
            f"cannot listen on {host}, port {port}: {reason(error)}. Choose others with --host and --port."
        ) from None

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger(__package__)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn raises it again after it has stopped
    settings = uvicorn.Config(
        make_app(service),
        http=Connection,
        host=host,
        port=port,
        access_log=False,  # the envelope logs one line per request
        log_level="info",
        server_header=False,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after it has stopped
        _Server(settings).run()
