"""HTTP of the stand-in of the W&B backend: addresses, the log of requests, and failures on demand."""

import base64
import contextlib
import gzip
import json
import random
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from training.tests.wandb.wandb_backend_graphql import answer, operation_name
from training.tests.wandb.wandb_backend_records import RefusalError, UnknownRequestError
from training.tests.wandb.wandb_backend_state import Store
from training.tests.wandb.wandb_backend_sweeps import settle

HOST = "127.0.0.1"
# "lost": the request is carried out, its answer never arrives.
FAULT_KINDS = ("500", "429", "reset", "lost")


@dataclass
class Faults:
    """Failures on demand.

    Args:
        rate: the share of requests that fail.
        kinds: of which each failing request gets one at random.
        spared: names of requests that never fail.
        delay_s: how long each answer takes.
    """

    rate: float = 0.0
    kinds: tuple[str, ...] = FAULT_KINDS
    spared: Collection[str] = ()
    delay_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def draw(self, name: str) -> str | None:
        fails = self._random.random() < self.rate and name not in self.spared
        return self._random.choice(self.kinds) if fails else None


@dataclass
class Request:
    """One request.

    Args:
        kind: graphql, file_stream, upload, download or unknown.
        name: the operation of GraphQL, else the path.
        variables: of the operation; the message of a file stream.
        status: 0 where the connection was broken.
        fault: the failure on demand that it met.
    """

    kind: str
    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    fault: str | None = None
    has_key: bool = False
    size_bytes: int = 0
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b"{}"
    content_type: str = "application/json"

    @classmethod
    def of_json(cls, value: Any, status: int = 200) -> "Reply":
        return cls(status, json.dumps(value).encode())


class Server:
    """Serves a store at one address; may be stopped and started again there."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._authorization = "Basic " + base64.b64encode(f"api:{key}".encode()).decode()
        self.faults = Faults()
        self.requests: list[Request] = []
        self.unknown: list[str] = []
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._closing = threading.Event()
        self._http: _HTTPServer | None = None
        # Bound but not listening: nobody else gets the port while the server is away.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, 0))
        store.url = f"http://{HOST}:{self._reserved.getsockname()[1]}"

    def start(self) -> None:
        if self._http is None:
            self._http = _HTTPServer(self._reserved.getsockname(), self)
            threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http.break_connections()
            self._http = None

    def close(self) -> None:
        self._closing.set()
        self.stop()
        self._reserved.close()

    def wait_until(self, condition: Callable[[], object], timeout_s: float) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(condition, timeout_s))

    def handle(self, method: str, target: str, authorization: str | None, body: bytes) -> Reply | None:
        """The answer to a request; None to break the connection instead."""
        if self.faults.delay_s:
            self._closing.wait(self.faults.delay_s)
        with self._changed:
            request = self._recognised(method, target, body)
            request.has_key = authorization == self._authorization
            request.size_bytes = len(body)
            self.requests.append(request)
            request.fault = self.faults.draw(request.name)
            reply = self._with_fault(request, target, body)
            request.status = reply.status if reply is not None else 0
            self._changed.notify_all()
            return reply

    def _recognised(self, method: str, target: str, body: bytes) -> Request:
        path = unquote(urlsplit(target).path)
        parts = path.strip("/").split("/")
        if (method, path) == ("POST", "/graphql"):
            message = json.loads(body)
            return Request("graphql", operation_name(message["query"]), message.get("variables") or {})
        if method == "POST" and parts[0] == "files" and parts[-1] == "file_stream":
            return Request("file_stream", path, json.loads(body))
        if parts[0] in ("storage", "artifactsV2") and method in ("GET", "PUT"):
            return Request("upload" if method == "PUT" else "download", path)
        return Request("unknown", f"{method} {path}")

    def _with_fault(self, request: Request, target: str, body: bytes) -> Reply | None:
        if request.fault in ("500", "429"):
            return Reply.of_json({"error": "on demand"}, int(request.fault))
        if request.fault == "reset":
            return None
        reply = self._carried_out(request, target, body)
        return None if request.fault == "lost" else reply

    def _carried_out(self, request: Request, target: str, body: bytes) -> Reply:
        try:
            if not request.has_key and not request.name.startswith("/storage/"):
                raise RefusalError(401, "user is not logged in")
            if request.kind == "graphql":
                status, value = answer(self._store, json.loads(body)["query"], request.variables)
                return Reply.of_json(value, status)
            if request.kind == "file_stream":
                return Reply.of_json(self._streamed(request))
            if request.kind == "upload":
                self._store.write(*self._place(target), body)
                return Reply(200, b"")
            if request.kind == "download":
                return Reply(200, self._store.read(*self._place(target)), "application/octet-stream")
            raise UnknownRequestError("no such address")
        except RefusalError as refusal:
            return Reply.of_json({"errors": [{"message": str(refusal)}]}, refusal.status)
        except UnknownRequestError as error:
            problem = f"{request.name}: {error}"
        except Exception:  # noqa: BLE001 - what goes wrong in the stand-in shall fail the test, not be tried again
            problem = f"{request.name}: {traceback.format_exc()}"
        self.unknown.append(problem)
        return Reply.of_json({"errors": [{"message": problem}]}, 400)

    def _streamed(self, request: Request) -> dict[str, Any]:
        _, entity, project, run_id, _ = request.name.strip("/").split("/")
        run = self._store.run(entity, project, run_id)
        reply = run.receive(request.variables)
        if run.sweep in self._store.sweeps:
            settle(self._store.sweeps[run.sweep])
        return reply

    def _place(self, target: str) -> tuple[str, str, str]:
        """Kind, owner and name of what is at an address of the storage."""
        address = urlsplit(target)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        if parts[0] == "artifactsV2":
            return "digest", parts[-2], parts[-1]
        if parse_qs(address.query).get("signature") != [self._store.signature]:
            raise RefusalError(403, "the signature does not match")
        _, kind, owner, name = parts
        return kind, owner, name


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], server: Server) -> None:
        self.stand_in = server
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        for connection in list(self._connections):
            _reset(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HTTPServer
    # An answer must not wait for the acknowledgement of its header.
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        reply = self.server.stand_in.handle(self.command, self.path, self.headers.get("Authorization"), self._body())
        if reply is None:
            self.close_connection = True
            _reset(self.connection)
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - the base class names them

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Tests print what they need."""


def _reset(connection: socket.socket) -> None:
    """Breaks a connection at once, in the middle of whatever it carries."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
