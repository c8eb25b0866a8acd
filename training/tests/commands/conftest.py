"""A registry of remote data sets, and a server of one of their files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from text_recognizer.tests.datasets.file_server import FileServer
from training.tests.commands.datasets_command import CONTENT, REGISTRY


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path = tmp_path / "metadata.toml"
    path.write_text(REGISTRY, encoding="utf-8")
    return path


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"/letters.zip": CONTENT}) as running:
        yield running
