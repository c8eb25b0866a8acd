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
class Places:
    """A limit on concurrent work; `noun`: what is limited, in the plural."""

    most: int
    noun: str
    taken: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Takes a slot for the duration of the block. Raises RefusedError: all are taken."""
        if self.taken >= self.most:
            message = f"{self.most} {self.noun} are in progress, which is the maximum. Try again in a second."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"})
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Service:
    """What the handlers share.

    Args:
        most_requests: concurrent predictions, and concurrent image downloads; further requests are told to retry.
    """

    def __init__(self, shelf: Shelf, metrics: Metrics, fetcher: Fetcher, most_requests: int = 64) -> None:
        self.shelf = shelf
        self.metrics = metrics
        self.fetcher = fetcher
        self.predictions, self.fetches = Places(most_requests, "predictions"), Places(most_requests, "fetches")


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
