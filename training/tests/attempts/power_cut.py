"""A disk that remembers what was put on it: what a power cut would leave of a folder, at any moment."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest


class Disk:
    """Notes each file and folder as it is synced.

    A file that was never synced is empty after a power cut, whatever name it has by then: so ext4 does it. Other file
    systems may lose names as well: those that were given in a folder since it was synced.

    Args:
        after_each: called whenever something was put on the disk.
    """

    def __init__(self, patch: pytest.MonkeyPatch, after_each: Callable[[], None] = lambda: None) -> None:
        self._contents: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, tuple[int, bool]]] = {}
        self._kept_open: list[int] = []  # or the number of a deleted file might become another's
        self._after_each = after_each
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, self._sync)

    def close(self) -> None:
        for descriptor in self._kept_open:
            os.close(descriptor)

    def left_with_names(self, folder: Path, place: Path) -> Path:
        """What is left where all names survive; in another place."""
        place.mkdir()
        for name, (number, is_folder) in _entries(folder).items():
            if is_folder:
                self.left_with_names(folder / name, place / name)
            else:
                (place / name).write_bytes(self._contents.get(number, b""))
        return place

    def left_of_synced(self, folder: Path, place: Path) -> Path:
        """What is left where names that were not synced are lost too; in another place."""
        self._make(folder.stat().st_ino, place)
        return place

    def _make(self, number: int, place: Path) -> None:
        place.mkdir()
        for name, (inner, is_folder) in self._entries.get(number, {}).items():
            if is_folder:
                self._make(inner, place / name)
            else:
                (place / name).write_bytes(self._contents.get(inner, b""))

    def _sync(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self._kept_open.append(os.dup(descriptor))
        if stat.S_ISDIR(found.st_mode):
            self._entries[found.st_ino] = _entries(descriptor)
        else:
            self._contents[found.st_ino] = os.pread(descriptor, found.st_size, 0)
        self._after_each()


def _entries(folder: Path | int) -> dict[str, tuple[int, bool]]:
    return {entry.name: (entry.inode(), entry.is_dir()) for entry in os.scandir(folder)}
