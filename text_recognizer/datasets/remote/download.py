"""Gets one address into one file (https, http, s3, file): resumed where it stopped, tried again where that may help."""

import hashlib
import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from text_recognizer import __version__
from text_recognizer.datasets.remote.answers import (
    PIECE_BYTES,
    TIMEOUT_S,
    Answer,
    DownloadError,
    Interrupted,
    Opener,
    OutOfDate,
    size_in,
)

if TYPE_CHECKING:
    pass

RETRIES = 3  # in a row without a megabyte gained: about three seconds of waiting
GAIN_BYTES = 1 << 20
BACKOFF_S = 0.5
LONGEST_WAIT_S = 60.0  # a server that asks for more than this has failed
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)

OnProgress = Callable[[int, int | None], None]


class Downloader:
    """A downloader as pooch wants it: called with an address and the temporary file to fill.

    Args:
        part: where the bytes are gathered; it stays, with a note of its origin, when the transfer breaks off.
        size_bytes: the size that the file must have, when it is known.
        endpoint_url: server of s3:// addresses; by default what the AWS settings say.
        on_progress: called with the bytes so far and the total, if known.
    """

    def __init__(
        self,
        part: Path,
        size_bytes: int | None = None,
        endpoint_url: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.part = part
        self.size_bytes = size_bytes
        self.endpoint_url = endpoint_url
        self.on_progress = on_progress or (lambda _done, _total: None)
        self.resumed = False
        self.sha256: str | None = None
        self.is_web_page = False

    def __call__(self, url: str, output_file: str, _pooch: object = None) -> None:
        """Fills a file.

        Raises:
            DownloadError: this address does not give the file.
            OSError: the file cannot be written.
        """
        if urlsplit(url).scheme == "file":
            self._copy(url)
        else:
            self._receive(url, self._opener(url))
        size_bytes = self.part.stat().st_size
        if self.size_bytes not in (None, size_bytes):
            self._discard()
            raise DownloadError(f"it has {size_bytes:,} bytes, expected {self.size_bytes:,} (download removed)")
        with open(self.part, "rb") as file:
            self.is_web_page = file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))
            file.seek(0)
            # pooch hashes once more before it gives the file its name, but its error has the hash only as words.
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.part.replace(output_file)
        self._discard()

    def _copy(self, url: str) -> None:
        path = Path(urllib.request.url2pathname(urlsplit(url).path))
        try:
            source = open(path, "rb")  # noqa: SIM115 - only failing to read is the address's fault
        except OSError as error:
            raise DownloadError(f"cannot read {path}: {error.strerror}") from error
        try:
            with source, open(self.part, "wb") as target:
                shutil.copyfileobj(source, target, PIECE_BYTES)
        except OSError:
            self._discard()
            raise

    def _opener(self, url: str) -> Opener:
        if urlsplit(url).scheme == "s3":
            from text_recognizer.datasets.remote.download_s3 import s3_opener

            return s3_opener(self.endpoint_url)
        return open_http

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
                size_bytes = self.part.stat().st_size if self.part.exists() else 0
                if size_bytes > gained_bytes + GAIN_BYTES:
                    gained_bytes, retry = size_bytes, fresh
                retry = _wait(retry, interruption)

    def _resume_point(self, url: str) -> tuple[int, str | None]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            validator = note["validator"]
            if note["url"] == url and (validator is None or (isinstance(validator, str) and validator.isascii())):
                return self.part.stat().st_size, validator
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return 0, None

    def _write(self, url: str, answer: Answer) -> None:
        if answer.total_bytes is not None and self.size_bytes not in (None, answer.total_bytes):
            raise DownloadError(f"it offers {answer.total_bytes:,} bytes, expected {self.size_bytes:,}")
        self.resumed = answer.start > 0
        done = answer.start
        if not self.resumed:
            self._discard()
            self._note.write_text(json.dumps({"url": url, "validator": answer.validator}), encoding="utf-8")
        with open(self.part, "ab") as file:
            for piece in answer.pieces:
                file.write(piece)
                done += len(piece)
                self.on_progress(done, answer.total_bytes or self.size_bytes)
                if self.size_bytes is not None and done > self.size_bytes:
                    break
        if answer.total_bytes is not None and done < answer.total_bytes:
            raise Interrupted(f"the connection closed after {done:,} of {answer.total_bytes:,} bytes")

    @property
    def _note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
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
    length = response.headers.get("Content-Length", "")
    return Answer(pieces, 0, size_in(length), validator)


def _in_words(error: BaseException) -> str:
    """The innermost cause: what wraps it repeats addresses and object names."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
