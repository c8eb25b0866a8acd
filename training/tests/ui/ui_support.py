"""The page of a folder of runs, for tests: asked in this process, or served to a browser."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from training.ui.app import Page
from training.ui.poller import Poller
from training.ui.safety import Guard
from training.views.index import Index

OWN = "http://127.0.0.1:8017"


def page_of(root: Path, host: str = "127.0.0.1") -> Page:
    index = Index(root)
    return Page(index, Poller(index), Guard(host, "the-token"))


def client_of(page: Page, address: str = OWN) -> TestClient:
    return TestClient(page.app(), base_url=address)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The address of the page, while a process serves it."""
    command = [sys.executable, "-m", "training.cli", "ui", str(root), "--no-browser", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(": ")[1].split()[0]
        finally:
            process.terminate()
