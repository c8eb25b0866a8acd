"""Whether files have changed since they were converted, by their sizes and times."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from text_recognizer.errors import DataError


def state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change of a file, for a cache's key. Raises DataError: it is not there."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}.") from None
    return found.st_size, found.st_mtime_ns


def state_of_files(paths: Iterable[Path]) -> str:
    """Changes when a file does: a hash of places, sizes and times; the same from whatever folder a file is named."""
    digest, here = hashlib.sha256(), Path.cwd()
    for path in paths:
        try:
            found = path.stat()
            digest.update(f"{here / path}\t{found.st_size}\t{found.st_mtime_ns}\n".encode("utf-8", "replace"))
        except (OSError, ValueError):
            digest.update(f"{path}\n".encode("utf-8", "replace"))
    return digest.hexdigest()
