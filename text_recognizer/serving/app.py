"""The web service: routes and handlers. What all requests share is in `envelope`."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from text_recognizer import __version__
from text_recognizer.errors import TextRecognizerError
from text_recognizer.serving import inference_protocol
from text_recognizer.serving import metrics as prometheus
from text_recognizer.serving.envelope import Envelope
from text_recognizer.serving.models import Shelf
from text_recognizer.serving.pictures import asked_by_address, asked_by_body
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.serving.service import Service, service_of

HERE = Path(__file__).parent
CLIENT_LEFT = 499  # the client disconnected before its body was complete; only for the log, as in nginx
LOOK_EVERY_S = 2.0  # how often to check for newly promoted models
PAGE = ("index.html", "page.css", "page.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
log = logging.getLogger(__name__)


def make_app(service: Service) -> ASGIApp:
    """The application. Its limit on bodies is that of fetched images, plus half for base64."""
    app = Starlette(
        routes=[
            Route("/", page, include_in_schema=False),
            Route("/page.{suffix:str}", page, include_in_schema=False),
            Route("/v1/predict", predict, methods=["GET", "POST"]),
            Route("/v1/models", models),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi, include_in_schema=False),
            *inference_protocol.ROUTES,
        ],
        exception_handlers={
            **dict.fromkeys((TextRecognizerError, HTTPException), _refused),
            ClientDisconnect: _left,
            Exception: _broken,
        },
        lifespan=_lifespan,
    )
    app.state.service = service
    return Envelope(app, service.metrics, service.fetcher.most_bytes * 3 // 2)


async def page(request: Request) -> Response:
    """The page and its files; none comes from another host."""
    name = f"page.{request.path_params['suffix']}" if request.path_params else "index.html"
    if name not in PAGE:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return FileResponse(HERE / "page" / name, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})


async def predict(request: Request) -> Response:
    service = service_of(request)
    if request.method == "POST":
        asked = await asked_by_body(request)  # before it takes a slot: bodies may arrive slowly
    else:
        with service.fetches.one():
            asked = await asked_by_address(request, service.fetcher)
    with service.predictions.one():
        model = service.shelf.get(asked.model)
        began = time.perf_counter()
        found = await model.read(asked.content, asked.layout)
        done = time.perf_counter()
    # For metric filters of log services, in the format of the FSDL course's service.
    log.info("METRIC confidence %s", found.confidence)
    log.info("METRIC mean_intensity %s", found.mean_intensity)
    log.info("INFO pred %s", found.text.replace("\n", " "))
    return JSONResponse(
        {
            "pred": found.text,
            "conf": found.confidence,
            "lines": found.lines_json(),
            "model": {"name": model.name, "version": model.version},
            "timing_ms": {
                "reading": round(1000 * (done - began), 3),
                "total": round(1000 * (done - request.state.began), 3),
            },
            "request_id": request.state.request_id,
        }
    )


async def models(request: Request) -> Response:
    shelf = service_of(request).shelf
    listed = [
        {"name": one.name, "version": one.version, "reads": one.predictor.target, "layouts": list(one.layouts)}
        for one in shelf.models.values()
    ]
    return JSONResponse({"models": listed, "problems": shelf.problems})


async def metrics(request: Request) -> Response:
    service = service_of(request)
    return Response(service.metrics.text(service.predictions.taken), media_type=prometheus.CONTENT_TYPE)


async def openapi(request: Request) -> Response:
    described = yaml.safe_load((HERE / "openapi.yaml").read_text(encoding="utf-8"))
    described["info"]["version"] = __version__
    described["components"]["schemas"]["ModelName"]["enum"] = list(service_of(request).shelf.models)
    return JSONResponse(described)


def _refused(request: Request, error: Exception) -> Response:
    status, headers = HTTPStatus.UNPROCESSABLE_ENTITY.value, {}
    message = str(error)
    if isinstance(error, RefusedError):
        status, headers = error.status.value, error.headers
    elif isinstance(error, HTTPException):
        status, headers, message = error.status_code, dict(error.headers or {}), f"{error.detail.rstrip('.')}."
    return JSONResponse({"error": message, "request_id": request.state.request_id}, status, headers)


def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_LEFT)


def _broken(request: Request, _: Exception) -> Response:  # the server logs it
    message = "this is a bug in Text Recognizer; the server's log has details for this request_id."
    answer = {"error": message, "request_id": request.state.request_id}
    return JSONResponse(answer, HTTPStatus.INTERNAL_SERVER_ERROR)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    shelf: Shelf = app.state.service.shelf
    looking = asyncio.create_task(_look_for_models(shelf))
    yield
    looking.cancel()
    shelf.close()


async def _look_for_models(shelf: Shelf) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for model in await asyncio.to_thread(shelf.refresh):
            model.retire()
