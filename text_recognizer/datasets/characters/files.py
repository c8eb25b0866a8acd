"""Finds and reads images and labels in the files of a table: idx, idx in an archive, MATLAB in an archive."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.emnist_mat import read_emnist_mat
from text_recognizer.datasets.formats.idx import read_idx
from text_recognizer.datasets.formats.packed import check_unpacked, most_unpacked_bytes
from text_recognizer.datasets.remote.archives import is_archive, members, open_member
from text_recognizer.errors import DataError

Parts = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]

# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte.gz
_IDX_NAME = re.compile(r"(?:(.+)-)?(train|test|t10k)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?")


@dataclass(frozen=True)
class _Entry:
    path: Path
    member: str | None = None

    @property
    def filename(self) -> str:
        return PurePosixPath(self.member or self.path.name).name

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, member '{self.member}'"

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        with open(self.path, "rb") if self.member is None else open_member(self.path, self.member) as file:
            yield file


def read_character_files(files: Mapping[str, Path], stem: str = "") -> Parts:
    """Images (N, H, W) and labels (N,) of "train" and "test", as stored in the files.

    Args:
        files: a table's files by filename.
        stem: prefix of the names, for example "emnist-letters"; files without a prefix are used too.
    Raises:
        DataError: images or labels are missing, or a file is damaged.
    """
    entries = [entry for path in files.values() for entry in _entries(path)]
    for entry in entries:
        if stem and entry.filename == f"{stem}.mat":
            stored_bytes = entry.path.stat().st_size
            with entry.open() as file:
                content = file.read(most_unpacked_bytes(stored_bytes) + 1)
            check_unpacked(str(entry), len(content), stored_bytes)
            return read_emnist_mat(content, str(entry))
    found: dict[tuple[str, str], _Entry] = {}
    for beginning in ("", stem):
        for entry in entries:
            match = _IDX_NAME.fullmatch(entry.filename)
            if match and (match[1] or "") == beginning:
                found["train" if match[2] == "train" else "test", match[3]] = entry
    parts = {}
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            if (part, kind) not in found:
                raise DataError(_missing(part, kind, stem, entries))
        parts[part] = (_read(found[part, "images"], 3), _read(found[part, "labels"], 1))
    return parts


def _entries(path: Path) -> list[_Entry]:
    if not is_archive(path):
        return [_Entry(path)]
    return [_Entry(path, member.name) for member in members(path) if member.kind == "file"]


def _read(entry: _Entry, dimensions: int) -> NDArray[np.uint8]:
    with entry.open() as file:
        return read_idx(file, str(entry), dimensions, entry.path.stat().st_size)


def _missing(part: str, kind: str, stem: str, entries: list[_Entry]) -> str:
    beginning, dimensions = f"{stem}-" if stem else "", 3 if kind == "images" else 1
    matlab = f" or '{stem}.mat'" if stem else ""
    there = ", ".join(sorted(entry.filename for entry in entries)) or "none"
    return (
        f"found no {part} {kind}: expected a file like '{beginning}{part}-{kind}-idx{dimensions}-ubyte.gz'{matlab}. "
        f"There are: {there}."
    )
