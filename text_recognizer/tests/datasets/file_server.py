"""A web server on loopback that can misbehave on purpose, and registry tables of the files it serves."""

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import tomlkit

from text_recognizer.tests.waiting import PATIENCE_S


@dataclass
class Request:
    path: str
    headers: dict[str, str]


@dataclass
class Fault:
    """What goes wrong with one request.

    Args:
        status: answered instead of the file.
        headers: added to the answer.
        drop_after_bytes: the connection closes when so much of the body was sent.
        hold: waited for before the answer, or after `drop_after_bytes` instead of closing.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop_after_bytes: int | None = None
    hold: threading.Event | None = None


class FileServer:
    """Serves `files` (path to content) with ETag, Range and If-Range.

    Args:
        ranges: whether it understands Range at all.
        validators: whether it sends an ETag.

    `holding` is set when an answer begins to be held.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None, ranges: bool = True, validators: bool = True) -> None:
        self.files = dict(files or {})
        self.ranges = ranges
        self.validators = validators
        self.requests: list[Request] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.holding = threading.Event()
        self._held: list[threading.Event] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for event in self._held:
            event.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    def hold(self, event: threading.Event) -> None:
        """Returns when the event is set; at the end of the server all of them are."""
        self._held.append(event)
        self.holding.set()
        event.wait(PATIENCE_S)


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.owner.requests.append(Request(path, dict(self.headers)))
        fault = self.owner.faults[path].popleft() if self.owner.faults[path] else Fault()
        if fault.hold is not None and fault.drop_after_bytes is None:
            self.owner.hold(fault.hold)
        if fault.status is not None or path not in self.owner.files:
            self.answer(fault.status or 404, fault.headers, b"")
            return
        content = self.owner.files[path]
        status, headers, body = self.part(content)
        self.answer(status, {**headers, **fault.headers}, body, fault)

    def part(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": etag} if self.owner.validators else {}
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range") or self.headers.get("If-Match") or etag
        if wanted is None or not self.owner.ranges or (condition != etag and self.headers.get("If-Range")):
            return 200, headers, content
        if condition != etag:
            return 412, headers, b""
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return 416, {**headers, "Content-Range": f"bytes */{len(content)}"}, b""
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return 206, headers, content[start:]

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            if fault is None or fault.drop_after_bytes is None:
                self.wfile.write(body)
                return
            self.wfile.write(body[: fault.drop_after_bytes])
            self.wfile.flush()
            if fault.hold is not None:
                self.owner.hold(fault.hold)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_entry(filename: str, content: bytes, *urls: str, **more: object) -> dict[str, Any]:
    """A [[….files]] entry with the right hash and size."""
    entry = {"urls": list(urls), "filename": filename, "sha256": sha256(content), "size_bytes": len(content)}
    return {key: value for key, value in {**entry, **more}.items() if value is not None}


def write_registry(path: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """A registry file with a table for each name."""
    path.write_text(tomlkit.dumps({name: {"files": list(files)} for name, files in tables.items()}), encoding="utf-8")
    return path
