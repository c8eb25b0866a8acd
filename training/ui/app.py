"""The page's routes: one static page, and what it asks for as JSON and as events."""

import asyncio
import importlib.resources
import json
import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from text_recognizer.errors import RunError, TextRecognizerError
from text_recognizer.wording import received
from training.runs.run import Run
from training.runs.tails import Cursor
from training.ui import run_views
from training.ui.events import Feed, json_of
from training.ui.poller import Poller
from training.ui.safety import COOKIE, HEADERS, Guard
from training.views.index import Index

if TYPE_CHECKING:  # views are imported on first use, so the page itself starts at once
    from training.ui.device_views import Devices
    from training.ui.sweep_views import Sweeps, SweepView

_MOST_BODY = 10_000
FIRST_S = 0.3  # time to read new runs before the first rows are shown
Answer = Callable[[Request], Any]
Scope = MutableMapping[str, Any]


@dataclass
class Page:
    """The state behind the page, and the guard that decides which requests are answered."""

    index: Index
    poller: Poller
    guard: Guard

    @cached_property
    def sweeps(self) -> "Sweeps":
        from training.ui.sweep_views import Sweeps

        return Sweeps(self.index)

    @cached_property
    def devices(self) -> "Devices":
        from training.ui.device_views import Devices

        return Devices()

    def app(self) -> "Guarded":
        answers: dict[str, Answer] = {
            "runs": self.runs,
            "columns": lambda _: run_views.columns_of(self._fresh()),
            "run": lambda request: run_views.one(self._fresh(), _key(request), "brief" in request.query_params),
            "compare": lambda request: run_views.compare(self._fresh(), request.query_params.getlist("run")),
            "samples": self.samples,
            "sweeps": lambda _: self._sweeps().table(),
            "sweep": lambda request: self._sweep(request).described(),
            "devices": lambda _: self.devices.described(),
            "picture": self.picture,
            "data": self.data,
            "dataset": self.dataset,
            "importance": lambda request: self._sweep(request).importance(),
        }
        routes: list[BaseRoute] = [Route(f"/api/{name}", partial(_answer, answer)) for name, answer in answers.items()]
        actions: dict[str, Callable[[dict[str, Any]], Any]] = {"stop": self.stop, "steer": self.steer}
        routes += [Route(f"/api/{name}", partial(_act, act), methods=["POST"]) for name, act in actions.items()]
        routes.append(Route("/api/events", self.events))
        routes += [Route("/", self.front), Route("/style.css", _style)]
        routes.append(Mount("/", StaticFiles(packages=[("training.ui", "static")])))
        return Guarded(Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found}), self.guard)

    def _fresh(self) -> Index:
        self.poller.refresh_if_idle()
        return self.index

    def runs(self, request: Request) -> dict[str, Any]:
        """The table; with `first`, only that many rows, of runs that can be read quickly."""
        asked, first = request.query_params, _number(request, "first", 0)
        if self.index.unread or asked.get("tick") != str(self.poller.ticks):  # even if pages are open
            self.poller.refresh(within_s=FIRST_S if first else math.inf)
        columns = [column for column in asked.get("columns", "").split(",") if column]
        by, filters, sort = asked.get("by"), asked.getlist("filter"), asked.get("sort") or None
        if by:
            found = run_views.grouped(self.index, filters, sort, columns, by)
        else:
            found = run_views.table(self.index, filters, sort, columns, first or None)
        return {"tick": self.poller.ticks, **found}

    def samples(self, request: Request) -> dict[str, Any]:
        from training.ui import samples

        order, row = request.query_params.get("order", "worst"), self._fresh().row_inside(_key(request))
        return samples.samples(row, order, _number(request, "count", 24), _number(request, "seed", 0))

    def picture(self, request: Request) -> bytes:
        from training.ui import samples

        row, split = self._fresh().row_inside(_key(request)), request.query_params.get("split", "test")
        return samples.picture(row, _number(request, "position", -1), split)

    def data(self, _: Request) -> dict[str, Any]:
        from training.ui import data_views

        return data_views.data(self._fresh())

    def dataset(self, request: Request) -> dict[str, Any]:
        from training.ui import data_views

        row, split = self._fresh().row_inside(_key(request)), request.query_params.get("split", "train")
        return data_views.dataset(row, split, _number(request, "seed", 0))

    def stop(self, asked: dict[str, Any]) -> dict[str, str]:
        row = self.index.row(str(asked.get("run")))
        Run(row.folder).ask_to_stop("requested on the web page")
        return {"said": f"{row.folder.name} will stop at its next checkpoint."}

    def _sweeps(self) -> "Sweeps":
        self.poller.refresh_if_idle()
        return self.sweeps

    def _sweep(self, request: Request) -> "SweepView":
        return self._sweeps().view(request.query_params.get("sweep", ""))

    def steer(self, asked: dict[str, Any]) -> dict[str, str]:
        from training.views.sweeps import steered

        action = asked.get("action")
        if action not in ("pause", "resume", "stop"):
            raise RunError(f"a sweep can be asked to pause, resume or stop. {received(action)}")
        return {"said": steered(self.sweeps.view(str(asked.get("sweep"))).folder, action)}

    async def events(self, request: Request) -> Response:
        asked = request.query_params
        columns = [column for column in asked.get("columns", "").split(",") if column]
        since = asked.get("since", "")
        try:
            feed = Feed(
                self.index,
                self.poller,
                since=int(since) if since.isdecimal() and len(since) < 16 else self.poller.ticks,
                runs=dict(map(_cursor, asked.getlist("run")[: run_views.MOST_COMPARED])),
                logs=dict(map(_cursor, asked.getlist("log")[:1])),
                cells=partial(run_views.cells, columns=columns) if columns else None,
                more=self._news_of_sweep(asked["sweep"]) if "sweep" in asked else tuple,
            )
        except TextRecognizerError as error:
            return _json({"error": str(error)}, 404)
        return StreamingResponse(feed.stream(), media_type="text/event-stream")

    def _news_of_sweep(self, key: str) -> Callable[[], Iterable[tuple[str, Any]]]:
        from training.ui.sweep_views import SweepFeed

        return SweepFeed(self._sweeps().view(key)).news

    async def front(self, request: Request) -> Response:
        """The HTML page, with the token. The guard has already refused unauthorised requests."""
        html = _content("training.ui", "static/index.html").decode().replace("{{ token }}", self.guard.token)
        response = Response(html, media_type="text/html")
        if self.guard.opens(request.url.query):
            response.set_cookie(COOKIE, self.guard.token, httponly=True, samesite="strict")
        return response


class Guarded:
    """Passes on the requests that the guard allows, and adds the security headers to every response."""

    def __init__(self, app: Starlette, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Any, send: Callable[[Scope], Awaitable[None]]) -> None:
        async def send_safely(message: Scope) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":
            return
        refused = self._guard.refusal(scope["method"], Headers(scope=scope), scope["query_string"].decode("latin-1"))
        if refused is not None:
            status, why = refused
            await _json({"error": why}, status)(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)


async def _answer(answer: Answer, request: Request) -> Response:
    """The result of a function that reads the disk, or its error message."""

    def answered() -> Response:
        value = answer(request)
        return Response(value, media_type="image/png") if isinstance(value, bytes) else _json(value)

    try:
        return await asyncio.to_thread(answered)
    except (TextRecognizerError, OSError) as error:
        return _json({"error": str(error)}, 400)


async def _act(act: Callable[[dict[str, Any]], Any], request: Request) -> Response:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY:
            return _json({"error": "the request is too long."}, 413)
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        return _json({"error": "the request is not a JSON object."}, 400)
    return await _answer(lambda _: act(asked), request)


async def _style(_: Request) -> Response:
    """The page has the style sheet of the reports."""
    return Response(_content("evaluation", "templates/style.css"), media_type="text/css")


async def _not_found(request: Request, _: Exception) -> Response:
    return _json({"error": f"not found: {request.url.path}."}, 404)


def _content(package: str, name: str) -> bytes:
    return importlib.resources.files(package).joinpath(name).read_bytes()


def _json(value: Any, status: int = 200) -> Response:
    return Response(json_of(value), status, media_type="application/json")


def _key(request: Request) -> str:
    return request.query_params.get("run", "")


def _number(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else usual


def _cursor(text: str) -> tuple[str, Cursor]:
    """KEY@CURSOR; a key may hold an @ itself."""
    key, _, cursor = text.rpartition("@")
    return key, Cursor.parse(cursor)
