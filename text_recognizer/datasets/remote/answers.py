"""What a server answers when it is asked for a file, and how that can fail; for https, http and s3 alike."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

TIMEOUT_S = (10.0, 30.0)  # to connect; between two pieces
PIECE_BYTES = 1 << 16


class DownloadError(Exception):
    """An address did not give the file; another one may."""


class Interrupted(Exception):  # noqa: N818 - no error yet: the next try may succeed
    """A transfer broke off for a reason that may pass; the response is what the server answered, if it did."""

    def __init__(self, reason: str, response: "BaseHTTPResponse | None" = None) -> None:
        super().__init__(reason)
        self.response = response


class OutOfDate(Interrupted):
    """What was gathered so far does not belong to the file that is there now."""


@dataclass(frozen=True)
class Answer:
    """What a server sends.

    Args:
        start: position in the file of the first byte of `pieces`.
        total_bytes: size of the whole file, when it is known.
        validator: names this version of the file, so that a later request can insist on it.
    """

    pieces: Iterator[bytes]
    start: int
    total_bytes: int | None
    validator: str | None


Opener = Callable[[str, int, str | None], AbstractContextManager[Answer]]


def size_in(text: str) -> int | None:
    """The bytes that a header announces; None where it announces no number of at most 18 digits."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None
