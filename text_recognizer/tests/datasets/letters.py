"""A table `letters` of one file on a server, and how tests fetch it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from text_recognizer.datasets.remote import download
from text_recognizer.datasets.remote.fetch import fetch
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.errors import DataError
from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.datasets.file_server import FileServer, file_entry, write_registry

CONTENT = bytes(range(256)) * 12_288  # 3 MiB


FETCH = """
import sys
from text_recognizer.datasets.remote import download
download.TIMEOUT_S = (300.0, 300.0)  # as long as a server here may hold an answer
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.datasets.remote.fetch import fetch
from text_recognizer.errors import DataError
try:
    print(*fetch(find_table("letters")).values())
except DataError as error:
    sys.exit(f"DataError: {error}")
"""


@pytest.fixture(name="server")
def serving_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server with /x.bin, and a registry with the table `letters` of that file."""
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)
    with FileServer({"/x.bin": CONTENT}) as running:
        write_registry(tmp_path / "metadata.toml", {"letters": [file_entry("x.bin", CONTENT, running.url("/x.bin"))]})
        yield running


def register(tmp_path: Path, *urls: str, content: bytes = CONTENT, **more: object) -> None:
    write_registry(tmp_path / "metadata.toml", {"letters": [file_entry("x.bin", content, *urls, **more)]})


def fetch_letters() -> Path:
    return fetch(find_table("letters"))["x.bin"]


def error_of_fetch() -> str:
    with pytest.raises(DataError) as caught:
        fetch_letters()
    return str(caught.value)


def fetch_elsewhere(code: str = FETCH, command: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, sys.executable, "-c", code],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
