"""The service on a port, until it is told to stop."""

import logging
import signal
import socket
import sys

from text_recognizer.errors import DataError
from text_recognizer.serving.app import make_app
from text_recognizer.serving.service import Service

STOP_TIMEOUT_S = 30  # for the requests that are being worked on


def serve(service: Service, host: str, port: int) -> None:
    """Answers until SIGTERM or Ctrl-C; then finishes what was begun and returns.

    Raises:
        DataError: the port is taken, or the host is none of this machine.
    """
    import uvicorn

    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except (OSError, UnicodeError) as error:
        raise DataError(
            f"cannot listen on {host}, port {port}: {error}. Choose others with --host and --port."
        ) from None

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger(__package__)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which uvicorn raises once more when it has stopped for it
    uvicorn.run(
        make_app(service),
        host=host,
        port=port,
        access_log=False,  # the envelope has its own line a request
        log_level="info",
        server_header=False,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
