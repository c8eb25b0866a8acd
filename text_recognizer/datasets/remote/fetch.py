"""Downloads remote datasets into the data folder once, verified by hash."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from text_recognizer import whole_files
from text_recognizer.datasets.remote.archives import extract
from text_recognizer.datasets.remote.download import Download, DownloadError, OnProgress, part_of
from text_recognizer.datasets.remote.metadata import RemoteFile, RemoteTable, shown, without_password
from text_recognizer.errors import DataError, reason, system_errors, writing_advice
from text_recognizer.settings import data_folder
from text_recognizer.wording import shell_word

SUMS = "SHA256SUMS"  # as sha256sum writes and checks it
State = Literal["fetched", "partly fetched", "not fetched", "needs login"]


def raw_folder(table: RemoteTable) -> Path:
    """The folder of a table's files."""
    return data_folder() / "raw" / table.name


def fetch(table: RemoteTable) -> dict[str, Path]:
    """The files of a table by filename, downloaded if missing or wrong.

    If several processes call this at once, one downloads and the others wait. Every file's hash is verified each time;
    an unpublished hash is recorded at the first download, in SHA256SUMS beside the files.

    Raises:
        DataError: all addresses of a file failed; it needs a registration; the disk is full or read-only.
    """
    folder = raw_folder(table)
    if wrong := _wrong_files(table):
        _refuse_logins(table, wrong)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with one_process(folder, f"to fetch {table.name}"):
                for file in _with_room(_wrong_files(table), folder):
                    _fetch_file(table, file, folder)
    _record(table)
    return {file.filename: folder / file.filename for file in table.files}


def verify(table: RemoteTable) -> list[str]:
    """Verifies every file of a table: one sentence for each that is missing or differs from the registry."""
    found = []
    for file in table.files:
        path = raw_folder(table) / file.filename
        if not path.is_file():
            found.append(f"{path} is missing: fetch {table.name}")
        elif (sha256 := sha256_of(path)) != (expected_sha256 := _expected(table, file) or sha256):
            expected = f"{_said_by(table, file)} says {expected_sha256}"
            found.append(f"{path} has sha256 {sha256}, {expected}: fetch {table.name} again")
    return found


def any_file(table: RemoteTable) -> bool:
    """Whether any file of a table is on this machine, right or wrong."""
    return any((raw_folder(table) / file.filename).is_file() for file in table.files)


def state(table: RemoteTable) -> State:
    """The state of a table on this machine, by names and sizes; `verify` reads the files."""
    there = [_is_there(raw_folder(table) / file.filename, file) for file in table.files]
    if all(there):
        return "fetched"
    if any(file.login and not found for file, found in zip(table.files, there, strict=True)):
        return "needs login"
    return "partly fetched" if any(there) else "not fetched"


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Converts a full disk or an unwritable folder into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write to {error.filename or folder}: {reason(error, folder)}. "
            f"{writing_advice(error, 'TEXT_RECOGNIZER_DATA')}"
        ) from error


@contextmanager
def one_process(path: Path, purpose: str) -> Iterator[None]:
    """Holds the lock beside a path; if another process holds it, says so and waits."""
    import filelock

    lock = filelock.FileLock(f"{path}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        sys.stderr.write(f"waiting for another process {purpose}\n")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def unpacked(archive: Path, folder: Path) -> Path:
    """The unpacked folder of an archive, unpacked by one process if missing. Raises DataError."""
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with one_process(folder, f"to unpack {archive.name}"):
            return folder if folder.exists() else extract(archive, folder)


@contextmanager
def progress(label: str, url: str, size_bytes: int | None) -> Iterator[OnProgress]:
    """Shows a transfer on standard error: a bar on a terminal, otherwise one line."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    place = urlsplit(url).hostname or "this machine"
    if not console.is_terminal:
        size = f" ({decimal(size_bytes)})" if size_bytes else ""
        console.print(f"fetching {label}{size} from {place}", markup=False, highlight=False, soft_wrap=True)
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(f"{label} from {place}", total=size_bytes)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _wrong_files(table: RemoteTable) -> list[RemoteFile]:
    found = []
    for file in table.files:
        path, expected = raw_folder(table) / file.filename, _expected(table, file)
        if not _is_there(path, file) or (expected and sha256_of(path) != expected):
            found.append(file)
    return found


def _expected(table: RemoteTable, file: RemoteFile) -> str | None:
    """The expected hash of a file; None if none is published and it was never downloaded."""
    return file.sha256 or _recorded(table).get(file.filename)


def _said_by(table: RemoteTable, file: RemoteFile) -> str:
    return shown(table.metadata if file.sha256 else raw_folder(table) / SUMS)


def _recorded(table: RemoteTable) -> dict[str, str]:
    try:
        rows = (raw_folder(table) / SUMS).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return {}
    return {name: sha256 for sha256, _, name in (row.partition("  ") for row in rows) if name}


def _record(table: RemoteTable) -> None:
    recorded = _recorded(table)
    for file in table.files:
        if not file.sha256 and file.filename not in recorded:
            row = f"{sha256_of(raw_folder(table) / file.filename)}  {file.filename}\n"
            with suppress(OSError), open(raw_folder(table) / SUMS, "a", encoding="utf-8") as sums:
                sums.write(row)  # if nothing can be written, the file cannot be changed either


def _is_there(path: Path, file: RemoteFile) -> bool:
    try:
        return path.is_file() and file.size_bytes in (None, path.stat().st_size)
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """The hash of a file. Raises DataError: it cannot be read."""
    with system_errors(f"read {path}"):
        return whole_files.sha256_of(path)


def _refuse_logins(table: RemoteTable, wrong: list[RemoteFile]) -> None:
    """Says where to register and where to put the files, before anything else is downloaded."""
    sentences = []
    for login in dict.fromkeys(file.login for file in wrong if file.login):
        files = [file for file in wrong if file.login == login]
        names = ", ".join(f"'{file.filename}'" for file in files)
        sentences.append(f"{names} {'needs' if len(files) == 1 else 'need'} a registration: {login}")
        for file in files:
            path = raw_folder(table) / file.filename
            address = f" (its address: {without_password(file.urls[0])})" if file.urls else ""
            if is_other := _is_other(table, file):
                address += f" (the one there {is_other})"
            sentences.append(f"Put it at {path}{address}")
    if sentences:
        raise DataError(f"{table.title or table.name} cannot be downloaded without you.\n  " + "\n  ".join(sentences))


def _is_other(table: RemoteTable, file: RemoteFile) -> str:
    """The actual and the expected hash of an existing file; "" if there is no file, or no expected hash."""
    path, expected = raw_folder(table) / file.filename, _expected(table, file)
    if not path.is_file() or not expected:
        return ""
    return f"has sha256 {sha256_of(path)}, expected {expected} of {_said_by(table, file)}"


def _with_room(files: list[RemoteFile], folder: Path) -> list[RemoteFile]:
    here_bytes = sum(part.stat().st_size for file in files if (part := part_of(folder / file.filename)).exists())
    needed_bytes = sum(file.size_bytes or 0 for file in files) - here_bytes
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise DataError(
            f"{folder} has {free_bytes:,} bytes free, but {needed_bytes:,} are still to be fetched. "
            f"Free some space, or set TEXT_RECOGNIZER_DATA to a folder on a larger disk."
        )
    return files


def _fetch_file(table: RemoteTable, file: RemoteFile, folder: Path) -> None:
    failures = []
    for url in file.urls:
        try:
            with progress(file.filename, url, file.size_bytes) as on_progress:
                path, sha256, said_by = folder / file.filename, _expected(table, file), _said_by(table, file)
                Download(path, sha256, said_by, file.size_bytes, table.endpoint_url, on_progress).run(url)
            return
        except DownloadError as error:
            failures.append(f"{without_password(url)}: {reason(error)}")
    listed = f" from {failures[0]}. " if len(failures) == 1 else ":\n  - " + "\n  - ".join(failures) + "\n"
    is_other = _is_other(table, file)
    command = f"text-recognizer datasets update {shell_word(table.name)}"
    update = f" {folder / file.filename} {is_other}. If it is right: {command}"
    raise DataError(
        f"cannot fetch '{file.filename}' of {table.name}{listed}"
        f"Run again; if it repeats, the source has changed or cannot be reached from here.{update if is_other else ''}"
    )
