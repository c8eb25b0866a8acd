"""Envelope: middleware of all requests: an id, limits on size and time, a line in the log, metrics."""

import asyncio
import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.refusals import RefusedError

REQUEST_ID = "x-request-id"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # safe in a line of a log
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
log = logging.getLogger(__name__)


@dataclass
class Envelope:
    """Wraps an application.

    Args:
        most_bytes: limit on the body of a request.
        body_timeout_s: time in which the body must arrive.
        most_held_bytes: limit on the bodies of all open requests together.
    """

    app: ASGIApp
    metrics: Metrics
    most_bytes: int
    body_timeout_s: float = 30.0
    most_held_bytes: int = 1 << 30
    _held_bytes: int = field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        state = {**scope.get("state", {}), "request_id": request_id, "began": time.perf_counter(), "held_bytes": 0}
        scope["state"] = state
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            await self.app(scope, self._bounded(scope, receive), sending)
        finally:
            self._held_bytes -= state["held_bytes"]
            self._count(scope, request_id, status)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        until = asyncio.get_running_loop().time() + self.body_timeout_s
        state, is_complete = scope["state"], False

        async def receiving() -> Message:
            nonlocal is_complete
            if is_complete:
                return await receive()  # it waits until the client leaves
            announced = Headers(scope=scope).get("content-length", "0")
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise RefusedError(
                    HTTPStatus.REQUEST_TIMEOUT, f"the request's body did not arrive within {self.body_timeout_s:g} s."
                ) from None
            state["held_bytes"] += len(message.get("body", b""))
            self._held_bytes += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if max(state["held_bytes"], int(announced) if announced.isdecimal() else 0) > self.most_bytes:
                raise RefusedError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"the request's body is too large: at most {self.most_bytes:,} bytes are read.",
                )
            if self._held_bytes > self.most_held_bytes:
                reason = "the bodies of other requests take all the available memory. Try again in a second."
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
            return message

        return receiving

    def _count(self, scope: Scope, request_id: str, status: int) -> None:
        duration_s = time.perf_counter() - scope["state"]["began"]
        route = getattr(scope.get("route"), "path", "none")  # never the path itself: the number of paths is unlimited
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.count_request(route, method, status, duration_s)
        log.info("INFO request %s %s %s %s %.1f ms", request_id, method, route, status, 1000 * duration_s)
