"""Downloads an address into a file (https, http, s3, file), with resuming and retries."""

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

RETRIES = 3  # in a row without a megabyte of progress: about three seconds of waiting
GAIN_BYTES = 1 << 20
BACKOFF_S = 0.5
LONGEST_WAIT_S = 60.0  # if a server asks to wait longer, the download fails
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)
TIMEOUT_S = (10.0, 30.0)  # to connect; between two pieces
PIECE_BYTES = 1 << 16

OnProgress = Callable[[int, int | None], None]


class DownloadError(Exception):
    """The download from an address failed; another address may work."""


class Interrupted(Exception):  # noqa: N818 - not an error yet: the next try may succeed
    """A transfer was interrupted for a possibly temporary reason; `response` is the server's response, if any."""

    def __init__(self, reason: str, response: "BaseHTTPResponse | None" = None) -> None:
        super().__init__(reason)
        self.response = response


class OutOfDate(Interrupted):
    """The partial download does not belong to the current version of the file."""


@dataclass(frozen=True)
class Answer:
    """The response of a server.

    Args:
        start: position in the file of the first byte of `pieces`.
        total_bytes: size of the whole file, if known.
        validator: identifies this version of the file, so that a later request can require it.
    """

    pieces: Iterator[bytes]
    start: int
    total_bytes: int | None
    validator: str | None


Opener = Callable[[str, int, str | None], AbstractContextManager[Answer]]


def size_in(text: str) -> int | None:
    """The size in a header; None if it is not a number of at most 18 digits."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def part_of(path: Path) -> Path:
    """The path of the partial download of a file."""
    return path.with_name(f"{path.name}.part")


@dataclass
class Download:
    """A download; the file gets its name once its size and hash are verified.

    Args:
        path: the file. The partial download is beside it; it stays, with a note of its origin, if the transfer fails.
        sha256: expected hash; None if unknown.
        said_by: the file that contains the expected hash, for messages.
        size_bytes: expected size, if known.
        endpoint_url: server of s3:// addresses; by default from the AWS settings.
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
        """Downloads the file from an address; returns its SHA-256.

        Raises:
            DownloadError: the download from this address failed.
            OSError: the file cannot be written.
        """
        found = self._gather(url)
        if self.sha256 not in (None, found) and self._resumed:
            self._discard()  # parts of two versions of a file match neither hash: start again from the beginning
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
    """Waits as required by the server or the policy, and returns the policy for the next try."""
    from urllib3.exceptions import HTTPError, MaxRetryError

    response = interruption.response
    try:
        asked_s = (retry.get_retry_after(response) or 0) if response is not None else 0
    except (HTTPError, ValueError, OverflowError):  # neither seconds nor a date: use the default wait
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
    """Reads a local file from its beginning."""
    path = Path(urllib.request.url2pathname(urlsplit(url).path))
    try:
        file = open(path, "rb")  # noqa: SIM115 - only errors of reading are the address's fault
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield Answer(iter(lambda: file.read(PIECE_BYTES), b""), 0, None, None)


@contextmanager
def open_http(url: str, start: int, validator: str | None) -> Iterator[Answer]:
    """Requests a file from a web server from a position on; it may send the whole file."""
    import requests
    import urllib3

    # With content encoding, a .gz would arrive unpacked and positions would differ.
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
    except UnicodeError as error:  # in the address that it redirects to
        raise DownloadError(f"its answer cannot be read: {error}") from error


def _http_answer(response: Any, asked_start: int) -> Answer:
    if response.status_code in RETRY_STATUSES:
        raise Interrupted(f"{response.status_code} {response.reason}", response.raw)
    unit_and_range, _, whole = response.headers.get("Content-Range", "").partition("/")
    total_bytes = size_in(whole)
    if response.status_code == 416 and asked_start and total_bytes == asked_start:
        return Answer(iter(()), asked_start, total_bytes, None)  # everything has been downloaded already
    if response.status_code == 416 and asked_start:
        raise OutOfDate(f"{response.status_code} {response.reason}")
    if response.status_code not in (200, 206):
        raise DownloadError(f"{response.status_code} {response.reason}")
    pieces = response.raw.stream(PIECE_BYTES, decode_content=False)
    etag = response.headers.get("ETag", "")
    # A weak ETag (W/"…") identifies the meaning of a file, not its bytes.
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
    if response.status_code == 206:
        if not unit_and_range.startswith(f"bytes {asked_start}-"):
            raise OutOfDate(f"it answered with the range '{unit_and_range}' instead of 'bytes {asked_start}-'")
        return Answer(pieces, asked_start, total_bytes, validator)
    return Answer(pieces, 0, size_in(response.headers.get("Content-Length", "")), validator)


def _in_words(error: BaseException) -> str:
    """The innermost cause: the wrapping errors repeat addresses and object names."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
