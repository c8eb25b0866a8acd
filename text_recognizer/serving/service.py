"""Service: what the handlers share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.models import Shelf
from text_recognizer.serving.refusals import RefusedError


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


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
