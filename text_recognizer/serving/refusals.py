"""RefusedError: why a request is refused, with its HTTP status."""

from collections.abc import Mapping
from http import HTTPStatus

from text_recognizer.errors import TextRecognizerError


class RefusedError(TextRecognizerError):
    """What was wrong with a request, what came, what is allowed, what to do."""

    def __init__(
        self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, common: str = ""
    ) -> None:
        super().__init__(message, common)
        self.status = status
        self.headers = dict(headers or {})
