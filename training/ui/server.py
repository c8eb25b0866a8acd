"""Serving the page: an address, and a loop until Ctrl-C."""

import asyncio
import os
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from types import FrameType

import uvicorn

from text_recognizer.errors import TextRecognizerError, reason
from training.ui.app import Page
from training.ui.poller import Poller
from training.ui.safety import Guard
from training.views.index import Index

_LONGEST_GOODBYE_S = 3


def serve(folder: Path, host: str, port: int, opens_browser: bool, source: str | None = None) -> int:
    """Serves the page of runs until Ctrl-C. Raises TextRecognizerError: the folder or the address cannot be used.

    Args:
        source: what the folder is a copy of.
    """
    index, guard = Index(folder, source), Guard(host)
    page = Page(index, Poller(index), guard)
    listening = _listen(host, port)
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}/"
    if not guard.is_local:
        address += f"?token={guard.token}"
    print(f"the runs in {index.shown}: {address}   (Ctrl-C to stop)", flush=True)
    if opens_browser and _has_display():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    _Server(page).run(sockets=[listening])
    return 0


class _Server(uvicorn.Server):
    """Tells open pages before it exits: each holds a connection."""

    def __init__(self, page: Page) -> None:
        settings = {"lifespan": "off", "access_log": False, "log_level": "warning", "server_header": False}
        super().__init__(
            uvicorn.Config(page.app(), timeout_graceful_shutdown=_LONGEST_GOODBYE_S, **settings)  # type: ignore[arg-type]
        )
        self._poller = page.poller

    async def main_loop(self) -> None:
        """Like uvicorn's, which ticks five times as often: most of the processor time of an idle page."""
        while not await self.on_tick(0):
            await asyncio.sleep(0.5)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._poller.close()
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise TextRecognizerError(
            f"the page cannot be served at {host}:{port}: {why}. Choose another port: --port 0 takes any free one."
        ) from None


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
