"""The files of a folder, and whether they have changed since they were converted, by their sizes and times."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from text_recognizer.errors import DataError, system_errors

SYSTEM_FOLDERS = ("__MACOSX", "lost+found")  # which macOS and file systems make, and which hold none of a user's data
_SYSTEM_PREFIX = "._"  # of files in which macOS keeps what other disks cannot: ._scan.jpg beside scan.jpg


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and in all folders in it, sorted; links that lead nowhere are among them.

    A link to a folder is followed, unless it leads to where all is read anyway or to a folder above. Files and folders
    that systems make are left out, also where they cannot be read.

    Raises:
        DataError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"the folder {Path(error.filename).absolute()} cannot be read: {error.strerror}.") from None

    found: list[Path] = []
    root, read = folder.resolve(), set[Path]()
    for inner, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(inner).resolve()
        if here in read:
            folders.clear()
            continue
        read.add(here)
        files = [Path(inner, name) for name in names if not name.startswith(_SYSTEM_PREFIX)]
        found += [file for file in files if file.is_file() or file.is_symlink()]
        for name in [one for one in folders if Path(inner, one).is_symlink()]:
            target = Path(inner, name).resolve()
            if target.is_relative_to(root) or root.is_relative_to(target) or here.is_relative_to(target):
                folders.remove(name)
        # Sorted, so that what two links lead to is found by the same one everywhere.
        folders[:] = sorted({*folders} - {*SYSTEM_FOLDERS})
    return sorted(found)


def state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change of a file, for a cache's key. Raises DataError: it is not there."""
    with system_errors(f"read {path}"):
        found = path.stat()
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
