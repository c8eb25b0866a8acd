"""text-recognizer serve: a process that answers, and finishes what was begun when it is told to stop."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import weights_folder
from training.cli import main

DIGITS = Path(__file__).parents[3] / "text_recognizer" / "tests" / "support" / "digits"


@contextmanager
def served(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service on a free port of this machine: its address and its process."""
    command = [sys.executable, "-m", "training.cli", "serve", "--port", "0", *arguments]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environ) as server:
        try:
            assert server.stderr is not None
            said = []
            for line in server.stderr:
                said.append(line)
                if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                    yield found[1], server
                    return
            raise AssertionError("".join(said))
        finally:
            server.kill()


def test_the_included_readers_are_served_until_their_process_is_told_to_stop():
    with served() as (address, server):
        assert _read(address)["model"]["name"] == "line-reader"
        assert _read(address, model="CharacterModel_DigitsDataset_lenet")["pred"] == "7"
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_second_ctrl_c_ends_it_at_once_while_a_request_is_open():
    with served() as (address, server), _open_request(address):
        assert server.stderr is not None
        server.send_signal(signal.SIGINT)
        assert any("Waiting for connections" in line for line in server.stderr)
        server.send_signal(signal.SIGINT)
        assert server.stderr.read() == "interrupted\n"
        assert server.wait() == 130


@contextmanager
def _open_request(address: str) -> Iterator[None]:
    """A request whose body the server waits for."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as client:
        fields = ("Host: x", "Content-Type: application/json", "Content-Length: 9", "Expect: 100-continue")
        client.sendall("\r\n".join(["POST /v1/predict HTTP/1.1", *fields, "", ""]).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100")
        yield


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "65536"], "--port: a whole number from 0 to 65,535 is expected"),
        (["--batch", "0"], "--batch: a whole number from 1 to 1,024 is expected"),
        (["--queue", "0"], "--queue: a whole number from 1 to 4,096 is expected"),
        (["--bundle", "nothing"], "there is no bundle 'nothing'"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(arguments, says, capsys):
    assert main(["serve", *arguments]) == 2
    assert says in capsys.readouterr().err


def _read(address: str, **options: str) -> dict[str, Any]:
    """The answer to a picture of a seven."""
    picture = base64.b64encode((DIGITS / "7.png").read_bytes()).decode()
    body = json.dumps({"image": f"data:image/png;base64,{picture}", **options}).encode()
    request = urllib.request.Request(f"{address}/v1/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_a_port_that_another_has_is_refused_in_a_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["serve", "--port", str(other.getsockname()[1])]) == 2
    assert "cannot listen on 127.0.0.1, port" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["digits", "digits@1"])
def test_a_promoted_model_is_served_under_its_name(tmp_path, monkeypatch, address):
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    ModelStore().add("digits", weights_folder() / "CharacterModel_DigitsDataset_lenet", {})
    services = []
    monkeypatch.setattr("text_recognizer.serving.server.serve", lambda service, *_: services.append(service))
    assert main(["serve", "--bundle", address]) == 0
    assert list(services[0].shelf.models) == ["digits"]
    services[0].shelf.close()
