"""The files of a folder, and whether they have changed since their conversion, by size and time."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from text_recognizer.errors import DataError, system_errors

SYSTEM_FOLDERS = ("__MACOSX", "lost+found")  # made by macOS and file systems, without user data
_SYSTEM_PREFIX = "._"  # files with macOS metadata: ._scan.jpg beside scan.jpg


def files_below(folder: Path) -> list[Path]:
    """The files in a folder, recursively and sorted, including dangling links.

    A link to a folder is followed, unless its target is read anyway or is a parent folder. System files and folders are
    skipped, even if they cannot be read.

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
        # Sorted, so that the target of two links is always found through the same one.
        folders[:] = sorted({*folders} - {*SYSTEM_FOLDERS})
    return sorted(found)


def named_file(folder: Path, name: str) -> Path:
    """A file in a folder, which may have its name in another Unicode form than a list does: macOS decomposes é."""
    forms = () if name.isascii() else (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    return next((folder / form for form in forms if os.path.isfile(folder / form)), folder / name)  # noqa: PTH113


def state(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time of a file, for a cache key. Raises DataError: it does not exist."""
    with system_errors(f"read {path}"):
        found = path.stat()
    return found.st_size, found.st_mtime_ns


def state_of_files(paths: Iterable[Path]) -> str:
    """A hash of paths, sizes and times that changes when a file does; independent of the working folder."""
    digest, here = hashlib.sha256(), Path.cwd()
    for path in paths:
        try:
            found = path.stat()
            digest.update(f"{here / path}\t{found.st_size}\t{found.st_mtime_ns}\n".encode("utf-8", "replace"))
        except (OSError, ValueError):
            digest.update(f"{path}\n".encode("utf-8", "replace"))
    return digest.hexdigest()
