"""Reads zip and tar archives, and refuses members that would land outside their folder."""

import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from text_recognizer.errors import DataError

TAR_ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DAMAGES = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Args:
        kind: "other" is a device or pipe.
        link_to: where a link leads, relative to the folder of the archive (hard) or of the entry (symbolic).
    """

    name: str
    kind: str  # "file", "folder", "symbolic link", "hard link", "other"
    size_bytes: int
    link_to: str = ""


def is_archive(path: Path) -> bool:
    """Whether a file is called like an archive that this module reads."""
    return path.name.lower().endswith((".zip", *TAR_ENDINGS))


def members(path: Path) -> list[Member]:
    """All entries of an archive.

    Raises:
        DataError: the archive is damaged, or one of its entries would land outside its folder.
    """
    with _opened(path) as archive:
        found = _zip_members(archive) if isinstance(archive, zipfile.ZipFile) else _tar_members(archive)
    for member in found:
        _refuse_escape(path, member)
    return found


@contextmanager
def open_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """One file of an archive, for reading; damage found while it is read is a DataError as well."""
    with _opened(path) as archive:
        try:
            opened = archive.open(name) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(name)
        except KeyError:
            raise DataError(f"{path} has no member '{name}'.") from None
        except (NotImplementedError, RuntimeError) as error:  # unknown compression; encrypted
            raise DataError(f"{path}: member '{name}' cannot be read: {error}.") from None
        if opened is None:
            raise DataError(f"{path}: member '{name}' is not a file.")
        with opened:
            yield opened


def extract(path: Path, folder: Path) -> Path:
    """Unpacks an archive into a new folder, which gets its name when everything is in it.

    Raises:
        DataError: the archive is damaged, too large for the disk, or leads outside the folder by a name or a link.
        OSError: the folder cannot be written.
    """
    found = members(path)
    needed_bytes = sum(member.size_bytes for member in found)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(folder.parent).free
    if needed_bytes > free_bytes:
        raise DataError(f"{path} unpacks to {needed_bytes:,} bytes, but {folder.parent} has {free_bytes:,} bytes free.")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with _opened(path) as archive:
            _unpack(path, archive, found, temporary)
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    try:
        with zipfile.ZipFile(path) if path.name.lower().endswith(".zip") else tarfile.open(path) as archive:
            yield archive
    except _DAMAGES as error:
        raise DataError(f"{path} is damaged or not the archive that its name says: {error}.") from error


def _zip_members(archive: zipfile.ZipFile) -> list[Member]:
    found = []
    for info in archive.infolist():
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        link_to = archive.read(info).decode("utf-8", errors="replace") if is_link else ""
        kind = "symbolic link" if is_link else "folder" if info.is_dir() else "file"
        found.append(Member(info.filename, kind, info.file_size, link_to))
    return found


def _tar_members(archive: tarfile.TarFile) -> list[Member]:
    return [Member(info.name, _tar_kind(info), info.size, info.linkname) for info in archive.getmembers()]


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    if info.issym():
        return "symbolic link"
    return "hard link" if info.islnk() else "other"


def _refuse_escape(path: Path, member: Member) -> None:
    if member.kind == "other":
        raise DataError(f"{path}: member '{member.name}' is a device or a pipe; nothing was unpacked.")
    if not _stays_inside(member.name):
        raise DataError(f"{path}: member '{member.name}' would land outside its folder; nothing was unpacked.")
    base = str(PurePosixPath(member.name).parent) if member.kind == "symbolic link" else "."
    if member.link_to and (_is_absolute(member.link_to) or not _stays_inside(f"{base}/{member.link_to}")):
        raise DataError(
            f"{path}: member '{member.name}' is a link out of its folder (to '{member.link_to}'); nothing was unpacked."
        )


def _stays_inside(name: str) -> bool:
    depth = 0
    for part in name.replace("\\", "/").split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return not _is_absolute(name)


def _is_absolute(name: str) -> bool:
    windows = PureWindowsPath(name)
    return name.startswith("/") or bool(windows.root or windows.drive)


def _unpack(path: Path, archive: zipfile.ZipFile | tarfile.TarFile, found: list[Member], folder: Path) -> None:
    for member in found:
        place = folder / member.name
        # Through a link, a harmless name may end up anywhere.
        if any(step.is_symlink() for step in (place, *place.parents) if step.is_relative_to(folder)):
            raise DataError(f"{path}: member '{member.name}' lies behind a link; nothing was unpacked.")
        if member.kind == "hard link" and not _leads_inside(folder / member.link_to, folder):
            raise DataError(f"{path}: member '{member.name}' is a link out of its folder; nothing was unpacked.")
        if isinstance(archive, zipfile.ZipFile) and member.kind == "symbolic link":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(member.link_to)
        elif isinstance(archive, tarfile.TarFile) and hasattr(tarfile, "data_filter"):  # not in Python 3.11.0 to .3
            archive.extract(member.name, folder, filter="data")
        else:
            archive.extract(member.name, folder)
    for entry in folder.rglob("*"):
        # Two links, each harmless by its text, can lead out together.
        if entry.is_symlink() and not _leads_inside(entry, folder):
            raise DataError(f"{path}: member '{entry.relative_to(folder)}' is a link out of its folder.")


def _leads_inside(place: Path, folder: Path) -> bool:
    return place.resolve().is_relative_to(folder.resolve())
