"""Reads zip and tar archives; refuses members with paths outside their folder."""

import bz2
import errno
import gzip
import itertools
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Any, Literal

from text_recognizer.datasets.formats.packed import check_unpacked, most_unpacked_bytes
from text_recognizer.errors import DataError, reason
from text_recognizer.whole_files import folder_beside

TAR_ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DAMAGES = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)
# Further errors of the libraries: encrypted members, invalid names, impossible sizes.
_ODD = (RuntimeError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, MemoryError, struct.error)
# Conflicting members, negative offsets; a full disk is not the archive's fault.
_OF_THE_ARCHIVE = (errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EPERM)
_ALWAYS_MEMBERS = 10_000
_BYTES_A_MEMBER = 100  # minimum size of an archive per member, if it has many
_LONGEST_PART_BYTES, _MOST_PARTS = 255, 32  # limits on a member's name
_MOST_TIMES = 100  # maximum compression ratio; XML has up to 30
_LONGEST_HEADER_BYTES = 1 << 20
_UNPACKERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}

_Archive = zipfile.ZipFile | tarfile.TarFile
Kind = Literal["file", "folder", "link", "other"]  # other: a device or pipe


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str
    kind: Kind
    size_bytes: int


def is_archive(path: Path) -> bool:
    """Whether a file has the name of a supported archive."""
    return path.name.lower().endswith((".zip", *TAR_ENDINGS))


def members(path: Path) -> list[Member]:
    """All entries of an archive. Raises DataError: it is damaged, or an entry has a path outside its folder."""
    with _opened(path) as archive:
        return [member for member, _ in _members(path, archive)]


@contextmanager
def open_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Opens one file of an archive; damage found while reading is a DataError too."""
    with _opened(path) as archive:
        found = {member.name: info for member, info in _members(path, archive)}
        if name not in found:
            raise DataError(f"{path} has no member '{name}'.")
        with _named(path, name):
            opened = (
                archive.open(found[name]) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(found[name])
            )
        if opened is None:
            raise DataError(f"{path}: member '{name}' is not a file.")
        with opened:
            yield opened


def extract(path: Path, folder: Path) -> Path:
    """Unpacks an archive into a new folder, atomically; for one process at a time.

    Raises:
        DataError: the archive is damaged, too large for the disk, has links, or names that lead outside the folder.
        OSError: the folder cannot be written.
    """
    needed_bytes = sum(member.size_bytes for member in members(path))
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(folder.parent).free
    if needed_bytes > free_bytes:
        raise DataError(f"{path} unpacks to {needed_bytes:,} bytes, but {folder.parent} has {free_bytes:,} bytes free.")
    with folder_beside(folder) as temporary:
        with _opened(path) as archive:
            for member, info in _members(path, archive):
                with _named(path, member.name):
                    if isinstance(archive, tarfile.TarFile) and hasattr(tarfile, "data_filter"):
                        archive.extract(info, temporary, filter="data")
                    else:  # a zip; a tar in Python 3.11.0 to 3.11.3
                        archive.extract(info, temporary)
        temporary.rename(folder)
    return folder


class _PackedTar:
    """The stream that tarfile reads, with limits: tarfile trusts the sizes in headers, and unpacks skipped members.

    Args:
        in_headers: whether only headers are being read, no members.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            unpacker: Any = _UNPACKERS.get(file.read(2), open)
        self._path = path
        self._file = unpacker(path, "rb")
        self._most_bytes = most_unpacked_bytes(path.stat().st_size, _MOST_TIMES)
        self._header_bytes = 0
        self.in_headers = True

    def read(self, size: int) -> bytes:
        self._header_bytes += size
        if self.in_headers and self._header_bytes > _LONGEST_HEADER_BYTES:
            raise DataError(f"{self._path} is damaged: the header of a member has more than a million bytes.")
        content: bytes = self._file.read(size)
        self._check(self.tell())
        return content

    def seek(self, position: int) -> None:
        self._check(position)
        self._file.seek(position)

    def begin_member(self) -> None:
        """Counts everything from here on towards the next header."""
        self._header_bytes = 0

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()

    def _check(self, position: int) -> None:
        if position > self._most_bytes:
            check_unpacked(str(self._path), position, self._path.stat().st_size, _MOST_TIMES)


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    try:
        with ExitStack() as stack:
            with _named(path):
                if path.name.lower().endswith(".zip"):
                    archive: _Archive = stack.enter_context(zipfile.ZipFile(path))
                else:
                    unpacked: Any = stack.enter_context(closing(_PackedTar(path)))
                    archive = stack.enter_context(tarfile.open(fileobj=unpacked, mode="r:"))
            yield archive
    except (OSError, *_DAMAGES) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk; those of the codecs have none
            raise
        raise DataError(f"{path} is damaged or not the archive that its name says: {reason(error)}.") from error


@contextmanager
def _named(path: Path, member: str | None = None) -> Iterator[None]:
    try:
        yield
    except (OSError, *_ODD) as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
            raise
        place = f"{path}: member {member!r}" if member is not None else f"{path} is damaged:"
        raise DataError(f"{place} cannot be read: {reason(error)}.") from error


def _members(path: Path, archive: _Archive) -> list[tuple[Member, Any]]:
    """The checked entries of an archive, with the library's objects."""
    stored_bytes = path.stat().st_size
    most_members = max(_ALWAYS_MEMBERS, stored_bytes // _BYTES_A_MEMBER)
    found: list[tuple[Member, Any]] = []
    total_bytes = 0
    with _named(path):
        packed: Any = None if isinstance(archive, zipfile.ZipFile) else archive.fileobj
        infos: Iterable[Any] = archive.infolist() if isinstance(archive, zipfile.ZipFile) else archive
        for info in infos:
            member = _tar_member(info) if isinstance(info, tarfile.TarInfo) else _zip_member(path, info)
            total_bytes += member.size_bytes
            check_unpacked(str(path), total_bytes, stored_bytes, _MOST_TIMES)
            if len(found) == most_members:
                raise DataError(f"{path} has more than {most_members:,} members. Unpack it by hand if that is right.")
            _refuse_escape(path, member)
            found.append((member, info))
            if packed:
                packed.begin_member()
    if packed:
        packed.in_headers = False
    return found


def _zip_member(path: Path, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = "encrypted" if info.flag_bits & 1 else f"packed by method {info.compress_type}"
        raise DataError(f"{path}: member {info.filename!r} is {how}; unpack it by hand.")
    kind: Kind = "folder" if info.filename.endswith("/") else "file"
    return Member(info.filename, "link" if stat.S_ISLNK(info.external_attr >> 16) else kind, info.file_size)


def _tar_member(info: tarfile.TarInfo) -> Member:
    kind: Kind = "link" if info.issym() or info.islnk() else "other"
    return Member(info.name, "file" if info.isreg() else "folder" if info.isdir() else kind, info.size)


def _refuse_escape(path: Path, member: Member) -> None:
    name, windows = member.name, PureWindowsPath(member.name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    longest_bytes = max((len(part.encode(errors="surrogatepass")) for part in parts), default=0)
    depths = itertools.accumulate(1 - 2 * (part == "..") for part in re.split(r"[/\\]", name) if part not in ("", "."))
    if member.kind == "other":
        reason = "is a device or a pipe"
    elif member.kind == "link":  # may lead anywhere, also via other links; data sets need none
        reason = "is a link: unpack the archive by hand"
    elif "\0" in name or not name or not (parts or member.kind == "folder"):
        reason = "has no name that a file can have"
    elif len(parts) > _MOST_PARTS or longest_bytes > _LONGEST_PART_BYTES:
        reason = "has too long a name"
    elif name.startswith("/") or windows.root or windows.drive or min(depths, default=0) < 0:
        reason = "would land outside its folder"
    else:
        return
    raise DataError(f"{path}: member {name!r} {reason}; nothing was unpacked.")
