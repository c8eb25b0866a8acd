"""The web service: routes and answers. What a request gets besides is in `envelope`."""

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from text_recognizer.errors import TextRecognizerError
from text_recognizer.serving import metrics as prometheus
from text_recognizer.serving.envelope import Envelope
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.models import Shelf
from text_recognizer.serving.pictures import Asked, asked_by_address, asked_by_body
from text_recognizer.serving.reading import ReadPicture, ServedModel
from text_recognizer.serving.refusals import RefusedError

log = logging.getLogger(__name__)


@dataclass
class Service:
    """What the handlers share.

    Args:
        most_requests: predictions at once; those beyond are asked to come again.
    """

    shelf: Shelf
    metrics: Metrics
    fetcher: Fetcher
    most_requests: int = 64

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for predictions.

        Raises:
            RefusedError: all are taken.
        """
        if self.metrics.in_flight >= self.most_requests:
            message = f"{self.most_requests} predictions are being worked on, which is the most. Try again in a second."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"})
        self.metrics.in_flight += 1
        try:
            yield
        finally:
            self.metrics.in_flight -= 1


def make_app(service: Service) -> ASGIApp:
    """The application; its bounds on bodies are those of fetched pictures, and a third for base64."""
    app = Starlette(
        routes=[
            Route("/v1/predict", predict, methods=["GET", "POST"]),
            Route("/metrics", metrics),
        ],
        exception_handlers={
            TextRecognizerError: _refused,
            HTTPException: _refused,
            Exception: _broken,
        },
        lifespan=_lifespan,
    )
    app.state.service = service
    return Envelope(app, service.metrics, service.fetcher.most_bytes * 3 // 2)


async def predict(request: Request) -> Response:
    service = service_of(request)
    with service.place():
        if request.method == "POST":
            asked = await asked_by_body(request)
        else:
            asked = await asked_by_address(request, service.fetcher)
        model = service.shelf.get(asked.model)
        began = time.perf_counter()
        found = await _read(model, asked)
        reading_ms = 1000 * (time.perf_counter() - began)
    _log_figures(found)
    return JSONResponse(
        {
            "pred": found.text,
            "conf": found.confidence,
            "lines": [line.to_json() for line in found.lines],
            "model": {"name": model.name, "version": model.version},
            "timing_ms": {"reading": round(reading_ms, 3), "total": round(_age_ms(request), 3)},
            "request_id": request.state.request_id,
        }
    )


async def metrics(request: Request) -> Response:
    return Response(service_of(request).metrics.text(), media_type=prometheus.CONTENT_TYPE)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _read(model: ServedModel, asked: Asked) -> ReadPicture:
    return await model.read(asked.content)


def _log_figures(found: ReadPicture) -> None:
    """Lines that metric filters of log services look for, as the FSDL course's service writes them."""
    log.info("METRIC confidence %s", found.confidence)
    log.info("METRIC mean_intensity %s", found.mean_intensity)
    log.info("INFO pred %s", found.text.replace("\n", " "))


def _age_ms(request: Request) -> float:
    began: float = request.state.began
    return 1000 * (time.perf_counter() - began)


def _refused(request: Request, error: Exception) -> Response:
    status, headers = HTTPStatus.UNPROCESSABLE_ENTITY.value, {}
    message = str(error)
    if isinstance(error, RefusedError):
        status, headers = error.status.value, error.headers
    elif isinstance(error, HTTPException):
        status, headers, message = error.status_code, dict(error.headers or {}), f"{error.detail}."
    return JSONResponse(_error(request, message), status, headers)


def _broken(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the server logs it
    message = "this is a bug in Text Recognizer; its log says more under this request_id."
    return JSONResponse(_error(request, message), HTTPStatus.INTERNAL_SERVER_ERROR)


def _error(request: Request, message: str) -> dict[str, Any]:
    return {"error": message, "request_id": request.state.request_id}


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.service.shelf.close()
