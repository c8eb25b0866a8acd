"""Atomic file writes, safe against power cuts: written beside, flushed to disk, renamed.

A file that is renamed before it is flushed to disk is often empty after a power cut.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from text_recognizer.errors import DataError, reason

_PIECE_BYTES = 1 << 20  # larger than usual, so that the system's page cache uses larger pages too


def replace_file(path: Path, content: str | Callable[[BinaryIO], object], durable: bool = True) -> None:
    """Replaces a file atomically: readers see the old or the new one. Raises OSError: not written; the old one stays.

    Args:
        content: a text, or a function that writes the content into a file.
        durable: flush it to disk; otherwise a power cut may leave the new file empty.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with _open_alone(temporary) as file:
            if isinstance(content, str):
                file.write(content.encode(errors="backslashreplace"))  # for JSON with names that are not UTF-8
            else:
                content(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def replace_folder(new: Path, folder: Path) -> None:
    """Flushes a finished folder to disk and renames it; an older one of that name is removed."""
    for inner, _, names in os.walk(new, topdown=False):
        for name in names:
            sync(Path(inner, name))
        sync(Path(inner))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def new_folder(output: Path) -> Iterator[None]:
    """Makes a folder to write into, or uses an empty one; after an error, everything written is removed.

    Raises:
        DataError: it is not empty, or cannot be written.
    """
    is_new = not output.exists()
    if not is_new and not output.is_dir():
        raise DataError(f"{output} already exists. Give another name, or remove it.")
    if not is_new and any(output.iterdir()):
        raise DataError(f"{output} is not empty. Give another folder, or empty it.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for entry in output.iterdir() if output.is_dir() else ():
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
        if is_new:
            with contextlib.suppress(OSError):
                output.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"cannot write {error.filename or output}: {reason(error, output)}.") from error
        raise


@contextlib.contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """A new folder, to be renamed to this one when it is complete; leftovers of killed processes are removed.

    For one process at a time: the caller holds a lock.
    """
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lfs_advice(path: str | os.PathLike[str]) -> str:
    """Advice for a file of a Git repository that was cloned without its large files; "" for any other."""
    begin = b"version https://git-lfs.github.com/spec/"
    try:
        if not Path(path).is_file():  # a pipe may no longer have a writer
            return ""
        with open(path, "rb") as file:
            is_pointer = file.read(len(begin)) == begin
    except OSError:
        return ""
    return " It is a pointer of Git LFS; `git lfs pull` fetches the file." if is_pointer else ""


def sync(path: Path) -> None:
    """Flushes a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)


def _open_alone(path: Path) -> BinaryIO:
    """An empty file, locked until it is closed or renamed; a second process waits."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            opened = os.fstat(descriptor)
            with contextlib.suppress(FileNotFoundError):  # renamed by the process that had it first
                if os.path.samestat(opened, path.stat()):
                    if opened.st_size:  # left by a writer that died
                        os.ftruncate(descriptor, 0)
                    return os.fdopen(descriptor, "r+b", _PIECE_BYTES)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
