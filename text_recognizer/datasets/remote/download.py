"""Gets one address into one file (https, http, s3, file): resumed where it stopped, tried again where that may help."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from text_recognizer import __version__
from text_recognizer.whole_files import sha256_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

RETRIES = 3  # in a row without a megabyte gained: about three seconds of waiting
GAIN_BYTES = 1 << 20
BACKOFF_S = 0.5
LONGEST_WAIT_S = 60.0  # a server that asks for more than this has failed
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)
TIMEOUT_S = (10.0, 30.0)  # to connect; between two pieces
PIECE_BYTES = 1 << 16

OnProgress = Callable[[int, int | None], None]


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


def part_of(path: Path) -> Path:
    """Where the bytes of a file are gathered."""
    return path.with_name(f"{path.name}.part")


@dataclass
class Download:
    """A file on its way; it gets its name when its size and hash are right.

    Args:
        path: the file. Its bytes are gathered beside it; they stay, with a note of their origin, if a transfer fails.
        sha256: which it must have; None for a file that is not known yet.
        said_by: where that hash is written, for the message about another one.
        size_bytes: which it must have, when that is known.
        endpoint_url: server of s3:// addresses; by default what the AWS settings say.
        on_progress: called with the bytes so far and the total, if known.
    """

    path: Path
    sha256: str | None = None
    said_by: str = ""
    size_bytes: int | None = None
    endpoint_url: str | None = None
    on_progress: OnProgress = lambda _done, _total: None

    def __post_init__(self) -> None:
        self._part = part_of(self.path)
        self._note = self.path.with_name(f"{self._part.name}.json")
        self._resumed = False

    def run(self, url: str) -> str:
        """Fetches the file from an address; its SHA-256.

        Raises:
            DownloadError: this address does not give the file.
            OSError: the file cannot be written.
        """
        found = self._gather(url)
        if self.sha256 not in (None, found) and self._resumed:
            self._discard()  # halves of two versions of a file have the hash of neither: once more, from its beginning
            found = self._gather(url)
        if self.sha256 not in (None, found):
            with open(self._part, "rb") as file:
                is_page = file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))
            self._discard()
            page = "; it is a web page, perhaps one to log in" if is_page else ""
            raise DownloadError(f"sha256 is {found}, {self.said_by} says {self.sha256}{page} (download removed)")
        self._part.replace(self.path)
        self._discard()
        return found

    def _gather(self, url: str) -> str:
        scheme = urlsplit(url).scheme
        if scheme == "file":
            self._receive(url, open_file)
        elif scheme == "s3":
            from text_recognizer.datasets.remote.download_s3 import s3_opener

            self._receive(url, s3_opener(self.endpoint_url))
        else:
            self._receive(url, open_http)
        size_bytes = self._part.stat().st_size
        if self.size_bytes not in (None, size_bytes):
            self._discard()
            raise DownloadError(f"it has {size_bytes:,} bytes, expected {self.size_bytes:,} (download removed)")
        return sha256_of(self._part)

    def _receive(self, url: str, opener: Opener) -> None:
        from urllib3.util import Retry

        fresh = retry = Retry(total=RETRIES, backoff_factor=BACKOFF_S)
        gained_bytes = 0
        while True:
            start, validator = self._resume_point(url)
            try:
                with opener(url, start, validator) as answer:
                    self._write(url, answer)
                return
            except Interrupted as interruption:
                if isinstance(interruption, OutOfDate):
                    self._discard()
                size_bytes = self._part.stat().st_size if self._part.exists() else 0
                if size_bytes > gained_bytes + GAIN_BYTES:
                    gained_bytes, retry = size_bytes, fresh
                retry = _wait(retry, interruption)

    def _resume_point(self, url: str) -> tuple[int, str | None]:
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            note = json.loads(self._note.read_text(encoding="utf-8"))
            validator = note["validator"]
            if note["url"] == url and (validator is None or (isinstance(validator, str) and validator.isascii())):
                return self._part.stat().st_size, validator
        return 0, None

    def _write(self, url: str, answer: Answer) -> None:
        if answer.total_bytes is not None and self.size_bytes not in (None, answer.total_bytes):
            raise DownloadError(f"it offers {answer.total_bytes:,} bytes, expected {self.size_bytes:,}")
        self._resumed = answer.start > 0
        done = answer.start
        if not self._resumed:
            self._discard()
            self._note.write_text(json.dumps({"url": url, "validator": answer.validator}), encoding="utf-8")
        with open(self._part, "ab") as file:
            for piece in answer.pieces:
                file.write(piece)
                done += len(piece)
                self.on_progress(done, answer.total_bytes or self.size_bytes)
                if self.size_bytes is not None and done > self.size_bytes:
                    break
        if answer.total_bytes is not None and done < answer.total_bytes:
            raise Interrupted(f"the connection closed after {done:,} of {answer.total_bytes:,} bytes")

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _wait(retry: Any, interruption: Interrupted) -> Any:
    """Waits as the server or the policy asks, and returns the policy for the next try."""
    from urllib3.exceptions import HTTPError, MaxRetryError

    response = interruption.response
    try:
        asked_s = (retry.get_retry_after(response) or 0) if response is not None else 0
    except (HTTPError, ValueError, OverflowError):  # neither seconds nor a date: waited as if nothing had been asked
        response, asked_s = None, 0
    if asked_s > LONGEST_WAIT_S:
        raise DownloadError(f"{interruption}; it asks to wait {asked_s:.0f} s") from interruption
    try:
        retry = retry.increment(method="GET", response=response, error=None if response else HTTPError())
    except MaxRetryError:
        raise DownloadError(f"{interruption} (tried {RETRIES + 1} times)") from interruption
    retry.sleep(response)
    return retry


@contextmanager
def open_file(url: str, _start: int, _validator: str | None) -> Iterator[Answer]:
    """Reads a file of this machine from its beginning."""
    path = Path(urllib.request.url2pathname(urlsplit(url).path))
    try:
        file = open(path, "rb")  # noqa: SIM115 - only failing to read is the address's fault
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield Answer(iter(lambda: file.read(PIECE_BYTES), b""), 0, None, None)


@contextmanager
def open_http(url: str, start: int, validator: str | None) -> Iterator[Answer]:
    """Asks a web server for a file from a position on; it may answer with the whole file."""
    import requests
    import urllib3

    # Compressed on the way, a .gz would arrive unpacked and a position would mean something else.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"text-recognizer/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if start and validator:
        headers["If-Range"] = validator
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            yield _http_answer(response, start)
    except requests.exceptions.SSLError as error:
        raise DownloadError(f"no secure connection: {_in_words(error)}") from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise Interrupted(_in_words(error)) from error
    except requests.RequestException as error:
        raise DownloadError(str(error)) from error
    except UnicodeError as error:  # of the address that it redirects to
        raise DownloadError(f"its answer cannot be read: {error}") from error


def _http_answer(response: Any, asked_start: int) -> Answer:
    if response.status_code in RETRY_STATUSES:
        raise Interrupted(f"{response.status_code} {response.reason}", response.raw)
    unit_and_range, _, whole = response.headers.get("Content-Range", "").partition("/")
    total_bytes = size_in(whole)
    if response.status_code == 416 and asked_start and total_bytes == asked_start:
        return Answer(iter(()), asked_start, total_bytes, None)  # everything is here already
    if response.status_code == 416 and asked_start:
        raise OutOfDate(f"{response.status_code} {response.reason}")
    if response.status_code not in (200, 206):
        raise DownloadError(f"{response.status_code} {response.reason}")
    pieces = response.raw.stream(PIECE_BYTES, decode_content=False)
    etag = response.headers.get("ETag", "")
    # A weak ETag (W/"…") names the meaning of a file, not its bytes.
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
    if response.status_code == 206:
        if not unit_and_range.startswith(f"bytes {asked_start}-"):
            raise OutOfDate(f"it answered with the range '{unit_and_range}' instead of 'bytes {asked_start}-'")
        return Answer(pieces, asked_start, total_bytes, validator)
    return Answer(pieces, 0, size_in(response.headers.get("Content-Length", "")), validator)


def _in_words(error: BaseException) -> str:
    """The innermost cause: what wraps it repeats addresses and object names."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
