"""Reads metadata.toml: remote datasets, the addresses, hashes and sizes of their files, licences."""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from annotated_types import Ge
from pydantic import AfterValidator

from text_recognizer.arguments import check_arguments
from text_recognizer.errors import DataError, reason, system_errors
from text_recognizer.settings import metadata_places
from text_recognizer.wording import did_you_mean, received, shell_word

SCHEMES = ("https", "http", "s3", "file")
ABOUT_KEYS = ("title", "licence", "homepage", "citation")
_MOST_CHARACTERS = 1_000_000
_MOST_DOTS = 64
_BETWEEN_NAMES = re.compile(r"""[^\w.'"-]+""")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_plain_name(name: str) -> bool:
    """Whether a name is a safe file or folder name on every system."""
    return _PLAIN_NAME.fullmatch(name) is not None


def _checked(is_right: Callable[[str], object], rule: str) -> AfterValidator:
    def check(text: str) -> str:
        if not is_right(text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


Text = Annotated[str, _checked(str.strip, "must be text that is not empty")]
Filename = Annotated[
    str, _checked(is_plain_name, "must be a name without folders, of letters, digits, '.', '_' and '-'")
]
Sha256 = Annotated[
    str, AfterValidator(str.lower), _checked(re.compile("[0-9a-f]{64}").fullmatch, "must be 64 hexadecimal digits")
]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a table.

    Args:
        urls: addresses, tried in this order; may be empty if `login` is set.
        sha256: 64 hexadecimal digits, lower case; None if none is published: then that of the first download counts.
        size_bytes: None if not known for certain; the hash decides.
        login: where to register. Such a file is never downloaded; it must already be in the data folder.
    """

    filename: Filename
    urls: tuple[str, ...]
    sha256: Sha256 | None = None
    size_bytes: Annotated[int, Ge(1)] | None = None
    login: Text | None = None


@dataclass(frozen=True)
class RemoteTable:
    """One dataset of the registry.

    Args:
        metadata: its registry file.
        endpoint_url: the server of its s3:// addresses, if it is not AWS and not set in the environment.
    """

    name: str
    files: tuple[RemoteFile, ...]
    metadata: Path
    title: Text = ""
    licence: Text = ""
    homepage: Text = ""
    citation: Text = ""
    endpoint_url: Text | None = None

    @property
    def size_bytes(self) -> int | None:
        """The total size of all files; None if one of them is unknown."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def hashes(self) -> dict[str, str | None]:
        """sha256 of each file, if published."""
        return {file.filename: file.sha256 for file in self.files}


def load_registry() -> dict[str, RemoteTable]:
    """All tables of `registry_files` by name. Raises DataError: with all problems of files and tables."""
    tables: dict[str, RemoteTable] = {}
    for file in registry_files():
        for name, table in read_registry(file).items():
            if name in tables:
                raise DataError(
                    f"two tables are called '{name}': one in {shown(tables[name].metadata)}, one in {shown(file)}. "
                    f"Rename one, or leave one of the files out of TEXT_RECOGNIZER_METADATA."
                )
            tables[name] = table
    return tables


def registry_files() -> list[Path]:
    """The files that settings.metadata_places() names. Raises DataError: a folder has none.

    A folder stands for its metadata.toml and those of its subfolders.
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
    """The registry file that has a table, or else the first one, where it would be added."""
    places = metadata_places()
    existing = [file for place in places for file in _files_in(place) if file.exists()]
    first = places[0] / "metadata.toml" if places[0].is_dir() else places[0]
    return next((file for file in existing if name in read_registry(file)), first)


def _files_in(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    return [*place.glob("metadata.toml"), *sorted(place.glob("*/metadata.toml"))]


def read_registry(path: Path) -> dict[str, RemoteTable]:
    """The tables of one file. Raises DataError: with all its problems."""
    return parse_registry(registry_text(path), path)


def registry_text(path: Path) -> str:
    """The text of a registry file. Raises DataError: it cannot be read."""
    advice = "TEXT_RECOGNIZER_METADATA names another one."
    try:
        with system_errors(f"read the registry of remote datasets {shown(path)}", advice):
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8 text: {error.reason} at byte {error.start}.") from None


def parse_registry(text: str, path: Path) -> dict[str, RemoteTable]:
    """The tables in the text of a registry file.

    In the older layout, one dataset per file with url, filename and sha256 at top level, the name is the folder's.

    Args:
        path: file of the text.
    """
    if len(text) > _MOST_CHARACTERS:
        raise DataError(f"{shown(path)} has {len(text):,} characters. At most {_MOST_CHARACTERS:,} are read.")
    # Python's tomllib takes quadratic time for dotted names.
    if any(part.count(".") > _MOST_DOTS for part in _BETWEEN_NAMES.split(re.sub(r"[ \t]", "", text))):
        raise DataError(f"{shown(path)} joins more than {_MOST_DOTS} names by dots.")
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise DataError(f"{shown(path)} is nested too deeply.") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise DataError(f"{shown(path)} is not valid TOML: {reason(error)}.") from None
    if is_one_table(document):
        document = {path.resolve().parent.name: document}
    problems: list[str] = []
    tables = {name: read_table(name, value, path, problems) for name, value in document.items()}
    if problems:
        separator = " " if len(problems) == 1 else "\n  - "
        raise DataError(f"{shown(path)}:{separator}" + "\n  - ".join(problems))
    return tables


def is_one_table(document: Mapping[str, Any]) -> bool:
    """Whether the whole file is one dataset, with its keys at top level."""
    return any(isinstance(document.get(key), str) for key in ("url", "filename", "sha256"))


def find_table(name: str) -> RemoteTable:
    """One table by name. Raises DataError: the registry is wrong or has no such table."""
    tables = load_registry()
    if name not in tables:
        places = ", ".join(map(shown, registry_files()))
        raise DataError(
            f"{places} has no table '{name}'.{did_you_mean(name, tables)} "
            f"It has: {', '.join(sorted(tables)) or 'none'}. Add one with: "
            f"text-recognizer datasets add {shell_word(name)} URL…"
        )
    return tables[name]


def shown(path: Path) -> str:
    """A path for messages: relative to the working folder if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def read_table(name: str, value: Any, path: Path, problems: list[str]) -> RemoteTable:
    """Reads one table; problems are appended."""
    label = f"[{name}]"
    if not is_plain_name(name):
        problems.append(f"{label}: a table's name may hold only letters, digits, '.', '_' and '-'. {received(name)}")
    if not isinstance(value, dict):
        problems.append(f"{label}: must be a table with files. {received(value)}")
        return RemoteTable(name, (), path)
    if "files" in value:
        about, entries = {key: item for key, item in value.items() if key != "files"}, value["files"]
    else:  # the keys of the only file are in the table itself
        about = {key: item for key, item in value.items() if key in (*ABOUT_KEYS, "endpoint_url")}
        entries = [{key: item for key, item in value.items() if key not in about}]
    arguments, found = check_arguments(label, RemoteTable, about, apart_from=("name", "files", "metadata"))
    problems += found
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        problems.append(f"{label}: files must be one or several tables [[….files]]. {received(entries)}")
        return RemoteTable(name, (), path)
    labels = [f"{label} file {number}" for number in range(1, len(entries) + 1)] if "files" in value else [label]
    files = [file for place, entry in zip(labels, entries, strict=True) for file in _file(place, entry, problems)]
    for filename, count in Counter(str(entry["filename"]) for entry in entries if "filename" in entry).items():
        if count > 1:
            problems.append(f"{label}: two files have the filename '{filename}'.")
    return RemoteTable(name, tuple(files), path, **arguments)


def _file(label: str, value: Mapping[str, Any], problems: list[str]) -> list[RemoteFile]:
    """A file of a table, or None; problems are appended."""
    listed = value.get("urls", [value["url"]] if "url" in value else [])
    others = {key: item for key, item in value.items() if key != "url"}
    arguments, found = check_arguments(label, RemoteFile, {**others, "urls": listed})
    if "url" in value and "urls" in value:
        found.append(f"{label}: give either url or urls, not both.")
    if not listed and "login" not in value:
        found.append(f"{label}: url is required (or login, for a file that needs a registration).")
    for url in listed if isinstance(listed, list) else ():
        if isinstance(url, str) and (problem := url_problem(url)):
            found.append(f"{label}: url {problem}. {received(without_password(url))}")
    problems += found
    return [] if found else [RemoteFile(**arguments)]


def without_password(url: str) -> str:
    """An address for messages and registries."""
    before, at, after = url.partition("://")
    end = re.search(r"[/?#\\]", after)
    place = after.rpartition("@")[2] if end is None else after[: end.start()].rpartition("@")[2] + after[end.start() :]
    return before + at + place


def url_problem(url: str) -> str | None:
    """What is wrong with an address, or None."""
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
