"""Reads zip and tar archives, and refuses members that would land outside their folder."""

import bz2
import errno
import gzip
import itertools
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from text_recognizer.datasets.formats.packed import check_unpacked, most_unpacked_bytes
from text_recognizer.errors import DataError

TAR_ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DAMAGES = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)
# What the libraries raise besides: about encrypted members, names that are none, sizes that cannot be.
_ODD = (RuntimeError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, MemoryError, struct.error)
# Members in each other's way, places before the beginning of a file; a full disk is none of the archive's faults.
_OF_THE_ARCHIVE = (errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EPERM)
_ALWAYS_MEMBERS = 10_000
_BYTES_A_MEMBER = 100  # of the archive, at least, where it has more of them
_LONGEST_PART_BYTES, _MOST_PARTS = 255, 32  # of a member's name
_LONGEST_LINK = 1024
_MOST_TIMES = 100  # as large as the archive may all of its members be; XML comes to 30
_LONGEST_HEADER_BYTES = 1 << 20
_UNPACKERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}

_Archive = zipfile.ZipFile | tarfile.TarFile


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
    """All entries of an archive. Raises DataError: it is damaged, or an entry would land outside its folder."""
    with _opened(path) as archive:
        return [member for member, _ in _members(path, archive)]


@contextmanager
def open_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """One file of an archive, for reading; damage found while it is read is a DataError as well."""
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
    """Unpacks an archive into a new folder, which gets its name when everything is in it.

    Raises:
        DataError: the archive is damaged, too large for the disk, or leads outside the folder by a name or a link.
        OSError: the folder cannot be written.
    """
    needed_bytes = sum(member.size_bytes for member in members(path))
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(folder.parent).free
    if needed_bytes > free_bytes:
        raise DataError(f"{path} unpacks to {needed_bytes:,} bytes, but {folder.parent} has {free_bytes:,} bytes free.")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with _opened(path) as archive:
            for member, info in _members(path, archive):
                _unpack(path, archive, member, info, temporary)
        for entry in temporary.rglob("*"):  # two links, each harmless by its text, can lead out together
            if entry.is_symlink() and not _leads_inside(entry, temporary):
                name = entry.relative_to(temporary)
                raise DataError(f"{path}: member '{name}' is a link out of its folder, or in a circle.")
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


class _PackedTar:
    """What tarfile reads: it takes a header for as long as it says, and passes over a member by unpacking it.

    Args:
        in_headers: whether no member is read yet, only their headers.
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
        """Whatever is read from here on belongs to the next header."""
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
        raise DataError(f"{path} is damaged or not the archive that its name says: {error}.") from error


@contextmanager
def _named(path: Path, member: str | None = None) -> Iterator[None]:
    """Names the archive where its library fails."""
    try:
        yield
    except (OSError, *_ODD) as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
            raise
        place = f"{path}: member {member!r}" if member is not None else f"{path} is damaged:"
        raise DataError(f"{place} cannot be read: {str(error) or type(error).__name__}.") from error


def _members(path: Path, archive: _Archive) -> list[tuple[Member, Any]]:
    """The entries of an archive and what its library calls them, all of them checked."""
    stored_bytes = path.stat().st_size
    most_members = max(_ALWAYS_MEMBERS, stored_bytes // _BYTES_A_MEMBER)
    found: list[tuple[Member, Any]] = []
    total_bytes = 0
    with _named(path):
        packed: Any = None if isinstance(archive, zipfile.ZipFile) else archive.fileobj
        infos: Iterable[Any] = archive.infolist() if isinstance(archive, zipfile.ZipFile) else archive
        for info in infos:
            member = _tar_member(info) if isinstance(info, tarfile.TarInfo) else _zip_member(path, archive, info)
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


def _zip_member(path: Path, archive: Any, info: zipfile.ZipInfo) -> Member:
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = "encrypted" if info.flag_bits & 1 else f"packed by method {info.compress_type}"
        raise DataError(f"{path}: member {info.filename!r} is {how}; unpack it by hand.")
    if is_link and info.file_size > _LONGEST_LINK:
        raise DataError(f"{path}: member {info.filename!r} is a link with a name of {info.file_size:,} bytes.")
    link_to = archive.read(info).decode("utf-8", errors="replace") if is_link else ""
    kind = "symbolic link" if is_link else "folder" if info.filename.endswith("/") else "file"
    return Member(info.filename, kind, info.file_size, link_to)


def _tar_member(info: tarfile.TarInfo) -> Member:
    kinds = {"file": info.isreg(), "folder": info.isdir(), "symbolic link": info.issym(), "hard link": info.islnk()}
    return Member(info.name, next((kind for kind, is_it in kinds.items() if is_it), "other"), info.size, info.linkname)


def _refuse_escape(path: Path, member: Member) -> None:
    reason = _wrong_name(member.name, member.kind == "folder")
    if member.kind == "other":
        reason = "is a device or a pipe"
    elif not reason and not _stays_inside(member.name):
        reason = "would land outside its folder"
    elif not reason and "link" in member.kind and _wrong_name(member.link_to, True):
        reason = f"is a link whose target {_wrong_name(member.link_to, True)}"
    base = str(PurePosixPath(member.name).parent) if member.kind == "symbolic link" else "."
    if not reason and member.link_to and not _stays_inside(member.link_to, base):
        reason = f"is a link out of its folder (to {member.link_to!r})"
    if reason:
        raise DataError(f"{path}: member {member.name!r} {reason}; nothing was unpacked.")


def _wrong_name(name: str, is_folder: bool) -> str:
    """Why no file may be called so; empty where it may."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if "\0" in name or not name or not (parts or is_folder):
        return "has no name that a file can have"
    longest_bytes = max((len(part.encode(errors="surrogatepass")) for part in parts), default=0)
    if len(parts) > _MOST_PARTS or longest_bytes > _LONGEST_PART_BYTES:
        return "has too long a name"
    return ""


def _stays_inside(name: str, base: str = ".") -> bool:
    windows = PureWindowsPath(name)
    steps = ({"..": -1, ".": 0, "": 0}.get(part, 1) for part in f"{base}/{name}".replace("\\", "/").split("/"))
    is_absolute = name.startswith("/") or windows.root or windows.drive
    return not is_absolute and min(itertools.accumulate(steps)) >= 0


def _unpack(path: Path, archive: _Archive, member: Member, info: Any, folder: Path) -> None:
    place = folder / member.name
    # Through a link, a harmless name may end up anywhere.
    if any(step.is_symlink() for step in (place, *place.parents) if step.is_relative_to(folder)):
        raise DataError(f"{path}: member {member.name!r} lies behind a link; nothing was unpacked.")
    if member.kind == "hard link" and not _leads_inside(folder / member.link_to, folder):
        raise DataError(
            f"{path}: member {member.name!r} is a link out of its folder, or in a circle; nothing was unpacked."
        )
    with _named(path, member.name):
        if isinstance(archive, zipfile.ZipFile) and member.kind == "symbolic link":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(member.link_to)
        elif isinstance(archive, tarfile.TarFile) and hasattr(tarfile, "data_filter"):  # not in Python 3.11.0 to .3
            archive.extract(info, folder, filter="data")
        else:
            archive.extract(info, folder)


def _leads_inside(place: Path, folder: Path) -> bool:
    try:
        place.resolve(strict=True)
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError):  # links in a circle; which error says so depends on the Python
        return False
    return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))
