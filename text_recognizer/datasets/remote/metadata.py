"""What metadata.toml says: remote datasets, where their files are, their hashes, sizes and licences."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from text_recognizer.errors import DataError
from text_recognizer.settings import metadata_places
from text_recognizer.wording import did_you_mean, received

SCHEMES = ("https", "http", "s3", "file")
ABOUT_KEYS = ("title", "licence", "homepage", "citation")
_FILE_KEYS = ("url", "urls", "filename", "sha256", "size_bytes", "login")
_TABLE_KEYS = (*ABOUT_KEYS, "endpoint_url", "files")
_MOST_CHARACTERS = 1_000_000
_MOST_DOTS = 64
_BETWEEN_NAMES = re.compile(r"""[^\w.'"-]+""")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a table.

    Args:
        urls: where it is, tried in this order; may be empty when `login` is set.
        sha256: 64 hexadecimal digits, lower case; None where none is published: that of the first fetch counts.
        size_bytes: None where it is not known for certain; the hash decides.
        login: where to register. Such a file is never downloaded, only looked for.
    """

    filename: str
    urls: tuple[str, ...]
    sha256: str | None
    size_bytes: int | None = None
    login: str | None = None


@dataclass(frozen=True)
class RemoteTable:
    """One dataset of the registry.

    Args:
        metadata: the registry file it stands in.
        endpoint_url: the server of its s3:// addresses, when it is not AWS and not set in the environment.
    """

    name: str
    files: tuple[RemoteFile, ...]
    metadata: Path
    title: str = ""
    licence: str = ""
    homepage: str = ""
    citation: str = ""
    endpoint_url: str | None = None

    @property
    def size_bytes(self) -> int | None:
        """Of all files together; None when one of them is unknown."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def hashes(self) -> dict[str, str | None]:
        """sha256 of each file, where it is published."""
        return {file.filename: file.sha256 for file in self.files}


def load_registry(path: Path | None = None) -> dict[str, RemoteTable]:
    """All tables of the registry by name. Raises DataError: all that is wrong with files and tables.

    Args:
        path: one file; by default all of `registry_files`.
    """
    tables: dict[str, RemoteTable] = {}
    for file in [path] if path else registry_files():
        for name, table in _read_registry(file).items():
            if name in tables:
                raise DataError(
                    f"two tables are called '{name}': one in {shown(tables[name].metadata)}, one in {shown(file)}. "
                    f"Rename one, or leave one of the files out of TEXT_RECOGNIZER_METADATA."
                )
            tables[name] = table
    return tables


def registry_files() -> list[Path]:
    """The files that settings.metadata_places() names. Raises DataError: a folder has none.

    A folder stands for its metadata.toml and those of the folders in it.
    """
    files: list[Path] = []
    for place in metadata_places():
        found = _files_in(place)
        if not found:
            raise DataError(
                f"there is no metadata.toml in {shown(place)} or the folders in it, which TEXT_RECOGNIZER_METADATA "
                f"names as a registry of remote datasets."
            )
        files += found
    return list(dict.fromkeys(files))


def home_of(name: str) -> Path:
    """The registry file that has a table, or else is the place for it: the first one."""
    places = metadata_places()
    existing = [file for place in places for file in _files_in(place) if file.exists()]
    first = places[0] / "metadata.toml" if places[0].is_dir() else places[0]
    return next((file for file in existing if name in _read_registry(file)), first)


def _files_in(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    return [*place.glob("metadata.toml"), *sorted(place.glob("*/metadata.toml"))]


def _read_registry(path: Path) -> dict[str, RemoteTable]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot read the registry of remote datasets {shown(path)}: {error.strerror}. "
            f"TEXT_RECOGNIZER_METADATA names another one."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    return parse_registry(text, path)


def parse_registry(text: str, path: Path) -> dict[str, RemoteTable]:
    """The tables in the text of a registry file.

    The older layout, one dataset a file with url, filename and sha256 at top level, is named after its folder.

    Args:
        path: where the text is from, or will be.
    """
    if len(text) > _MOST_CHARACTERS:
        raise DataError(f"{shown(path)} has {len(text):,} characters. At most {_MOST_CHARACTERS:,} are read.")
    # Python's tomllib takes quadratic time for names that are joined by dots.
    if any(part.count(".") > _MOST_DOTS for part in _BETWEEN_NAMES.split(re.sub(r"[ \t]", "", text))):
        raise DataError(f"{shown(path)} joins more than {_MOST_DOTS} names by dots.")
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise DataError(f"{shown(path)} is nested too deeply.") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise DataError(f"{shown(path)} is not valid TOML: {error}.") from None
    if is_one_table(document):
        document = {path.resolve().parent.name: document}
    problems: list[str] = []
    tables = {name: _Reader(f"[{name}]", problems).table(name, value, path) for name, value in document.items()}
    if problems:
        separator = " " if len(problems) == 1 else "\n  - "
        raise DataError(f"{shown(path)}:{separator}" + "\n  - ".join(problems))
    return tables


def is_one_table(document: Mapping[str, Any]) -> bool:
    """Whether the whole file is one dataset: its keys stand at top level."""
    return any(isinstance(document.get(key), str) for key in ("url", "filename", "sha256"))


def find_table(name: str, path: Path | None = None) -> RemoteTable:
    """One table by name. Raises DataError: the registry is wrong or has no such table."""
    tables = load_registry(path)
    if name not in tables:
        places = ", ".join(map(shown, [path] if path else registry_files()))
        raise DataError(
            f"{places} has no table '{name}'.{did_you_mean(name, tables)} "
            f"It has: {', '.join(sorted(tables)) or 'none'}. Add one with: text-recognizer datasets add {name} URL…"
        )
    return tables[name]


def is_plain_name(name: str) -> bool:
    """Whether a name is safe as the name of a file or folder on every system."""
    return _PLAIN_NAME.fullmatch(name) is not None


def shown(path: Path) -> str:
    """A path as messages show it: relative to where the user stands when it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@dataclass(frozen=True)
class _Reader:
    """Reads one table, or one of its files, and writes down what is wrong with it, with its place."""

    place: str
    problems: list[str]

    def table(self, name: str, value: Any, path: Path) -> RemoteTable:
        if not is_plain_name(name):
            self.problem("a table's name may hold only letters, digits, '.', '_' and '-'", name)
        if not isinstance(value, dict):
            self.problem("must be a table with files", value)
            return RemoteTable(name, (), path)
        entries = value.get("files")
        self.unknown_keys(value, _TABLE_KEYS if "files" in value else (*_TABLE_KEYS, *_FILE_KEYS))
        if "files" not in value:
            files = [self.file(value)]
        elif not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            self.problem("files must be one or several tables [[….files]]", entries)
            files = []
        else:
            readers = [_Reader(f"{self.place} file {number}", self.problems) for number in range(1, len(entries) + 1)]
            files = [reader.file(entry, _FILE_KEYS) for reader, entry in zip(readers, entries, strict=True)]
        filenames = [file.filename for file in files]
        for filename in sorted({filename for filename in filenames if filenames.count(filename) > 1}):
            self.problem("two files have the filename", filename)
        about = {key: self.text(value, key) or "" for key in ABOUT_KEYS}
        return RemoteTable(name, tuple(files), path, **about, endpoint_url=self.text(value, "endpoint_url"))

    def file(self, value: Mapping[str, Any], known: tuple[str, ...] = ()) -> RemoteFile:
        if known:
            self.unknown_keys(value, known)
        filename = self.text(value, "filename", required=True) or ""
        if filename and not is_plain_name(filename):
            self.problem("filename must be a name without folders, of letters, digits, '.', '_' and '-'", filename)
        sha256 = (self.text(value, "sha256") or "").lower() or None
        if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            self.problem("sha256 must be 64 hexadecimal digits", sha256)
        size_bytes = value.get("size_bytes")
        if size_bytes is not None and (type(size_bytes) is not int or size_bytes < 1):
            self.problem("size_bytes must be a whole number of at least 1", size_bytes)
            size_bytes = None
        login = self.text(value, "login")
        return RemoteFile(filename, self.urls(value, needed=login is None), sha256, size_bytes, login)

    def urls(self, value: Mapping[str, Any], needed: bool) -> tuple[str, ...]:
        if "url" in value and "urls" in value:
            self.problem("give either url or urls, not both", value["url"])
        listed = value.get("urls", [value["url"]] if "url" in value else [])
        if not isinstance(listed, list):
            self.problem("urls must be a list of addresses", listed)
            return ()
        if not listed and needed:
            self.problems.append(f"{self.place}: url is required (or login, for a file that needs a registration).")
        for url in listed:
            if problem := url_problem(url):
                self.problem(f"url {problem}", without_password(url) if isinstance(url, str) else url)
        return tuple(map(str, listed))

    def text(self, value: Mapping[str, Any], key: str, required: bool = False) -> str | None:
        found = value.get(key)
        if found is None and required:
            self.problems.append(f"{self.place}: {key} is required.")
        elif found is not None and (not isinstance(found, str) or not found.strip()):
            self.problem(f"{key} must be text that is not empty", found)
            return None
        return found

    def unknown_keys(self, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
        self.problems.extend(
            f"{self.place}: there is no key '{key}'.{did_you_mean(key, known)} Known: {', '.join(known)}."
            for key in value
            if key not in known
        )

    def problem(self, rule: str, value: object) -> None:
        self.problems.append(f"{self.place}: {rule}. {received(value)}")


def without_password(url: str) -> str:
    """An address as messages and registries show it."""
    before, at, after = url.partition("://")
    end = re.search(r"[/?#\\]", after)
    place = after.rpartition("@")[2] if end is None else after[: end.start()].rpartition("@")[2] + after[end.start() :]
    return before + at + place


def url_problem(url: object) -> str | None:
    """What is wrong with an address, or None."""
    if not isinstance(url, str):
        return "must be text"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"cannot be read ({error})"
    if parts.scheme not in SCHEMES:
        return f"must begin with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
    if parts.scheme == "file":
        return None if host in (None, "localhost") and parts.path.startswith("/") else "must be file:///absolute/path"
    if parts.scheme == "s3":
        return None if host and parts.path.strip("/") else "must be s3://bucket/key"
    return None if host else "names no host"
