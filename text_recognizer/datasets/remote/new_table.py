"""Adds tables of new files to metadata.toml; comments and layout of the rest stay."""

import re
import shutil
import stat
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import tomlkit

from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.datasets.remote.fetch import disk_errors, one_process, progress, raw_folder, sha256_of
from text_recognizer.datasets.remote.metadata import (
    ABOUT_KEYS,
    RemoteTable,
    find_table,
    home_of,
    is_one_table,
    parse_registry,
    read_table,
    registry_text,
    shown,
    without_password,
)
from text_recognizer.errors import DataError, reason, system_errors
from text_recognizer.settings import data_folder, given_path
from text_recognizer.whole_files import replace_file


def add_table(
    name: str,
    sources: Sequence[str],
    *,
    about: Mapping[str, str] | None = None,
    sha256: Sequence[str] = (),
    login: str | None = None,
    endpoint_url: str | None = None,
    replace: bool = False,
) -> RemoteTable:
    """Downloads files, computes their sizes and hashes, and adds their table to the registry.

    The files stay in the data folder, so the new table is already downloaded.

    Args:
        sources: addresses, or paths of local files.
        about: title, licence, homepage, citation.
        sha256: expected hashes of the files, in the order of the sources; none to accept any.
        login: where others have to register; then paths are not recorded as addresses.
        replace: replace a table of the same name.
    Raises:
        DataError: a file is unavailable, or the table cannot be added; then the registry is unchanged.
    """
    path = home_of(name)
    _check_request(name, sources, sha256)
    _check_place(name, path, replace)
    folder = data_folder() / "raw"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
        try:
            files = [
                _describe(source, temporary, sha256[number] if sha256 else None, login, endpoint_url)
                for number, source in enumerate(sources)
            ]
            described = {key: (about or {}).get(key) for key in ABOUT_KEYS} | {
                "endpoint_url": without_password(endpoint_url) if endpoint_url else None
            }
            with one_process(folder / "metadata", f"to change {shown(path)}"):
                table = _write_table(path, name, described, files, replace)
            (folder / name).mkdir(exist_ok=True)
            for file in temporary.iterdir():
                file.replace(folder / name / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return table


def update_table(name: str) -> list[Path]:
    """Updates the registry with the hashes, and sizes if given, of the current files.

    Returns:
        the files of the table on this machine.
    Raises:
        DataError: there are none; the registry cannot be read or written.
    """
    table = find_table(name)
    with one_process(data_folder() / "raw" / "metadata", f"to change {shown(table.metadata)}"):
        document = tomlkit.parse(_text(table.metadata))
        described: Any = document if is_one_table(document) else document[name]
        entries = described.get("files", [described])
        found = [(entry, path) for entry in entries if (path := raw_folder(table) / entry["filename"]).is_file()]
        if not found:
            raise DataError(f"none of the files of '{name}' is in {raw_folder(table)}: fetch it, or put them there.")
        for entry, path in found:
            entry["sha256"] = sha256_of(path)
            if "size_bytes" in entry:
                entry["size_bytes"] = path.stat().st_size
        _replace_file(table.metadata, tomlkit.dumps(document))
    return [path for _, path in found]


def _check_request(name: str, sources: Sequence[str], sha256: Sequence[str]) -> None:
    if sha256 and len(sha256) != len(sources):
        raise DataError(
            f"give one sha256 for each of {len(sources)} files, in their order, or none. Received: {len(sha256)}."
        )
    urls = [source if "://" in source else "file:///a/path/of/this/machine" for source in sources]
    files = [{"url": url, "filename": _filename(source)} for url, source in zip(urls, sources, strict=True)]
    problems: list[str] = []
    read_table(name, {"files": files}, Path(), problems)
    if problems:
        raise DataError("\n".join(problems))


def _check_place(name: str, path: Path, replace: bool) -> None:
    text = _text(path)
    if name in parse_registry(text, path) and not replace:
        raise DataError(f"{shown(path)} has a table '{name}' already. --replace puts the new one in its place.")
    if is_one_table(tomllib.loads(text)):
        raise DataError(
            f"{shown(path)} describes one dataset with keys at top level, so no other can be added to it. "
            f"Put its keys below a [name], or set TEXT_RECOGNIZER_METADATA to another file."
        )


def _text(path: Path) -> str:
    return registry_text(path) if path.exists() else ""


def _filename(source: str) -> str:
    _, is_address, address = source.partition("://")
    path = re.split("[?#]", address)[0].partition("/")[2]
    return PurePosixPath(unquote(path)).name if is_address else Path(source).name


def _describe(
    source: str, folder: Path, sha256: str | None, login: str | None, endpoint_url: str | None
) -> dict[str, Any]:
    is_address = "://" in source
    url = source if is_address else given_path(source).resolve().as_uri()
    path = folder / _filename(source)
    with progress(path.name, url, None) as on_progress:
        try:
            found = Download(path, sha256, "--sha256", None, endpoint_url, on_progress).run(url)
        except DownloadError as error:
            raise DataError(f"cannot fetch {without_password(url)}: {reason(error)}.") from error
    return {
        # The registry is shared; passwords belong into .netrc.
        "url": without_password(url) if is_address or login is None else None,
        "filename": path.name,
        "sha256": found,
        "size_bytes": path.stat().st_size,
        "login": login,
    }


def _write_table(
    path: Path, name: str, about: Mapping[str, Any], files: Sequence[Mapping[str, Any]], replace: bool
) -> RemoteTable:
    _check_place(name, path, replace)  # again: another process may have added it meanwhile
    table = {key: value for key, value in about.items() if value is not None}
    table["files"] = [{key: value for key, value in file.items() if value is not None} for file in files]
    text = _with_table(_text(path), name, tomlkit.dumps({name: table}))
    tables = parse_registry(text, path)
    if tomllib.loads(text) != {**tomllib.loads(_text(path)), name: table}:
        raise DataError(
            f"{shown(path)} is laid out in a way that [{name}] cannot be put in by a program: edit it by hand."
        )
    _replace_file(path, text)
    return tables[name]


def _with_table(text: str, name: str, table: str) -> str:
    """A registry with a table's lines inserted: after the others, or replacing the old ones."""
    names = "|".join(re.escape(form) for form in (name, f'"{name}"', f"'{name}'"))
    old = re.search(rf"^[ \t]*\[\[?[ \t]*(?:{names})[ \t]*[.\]]", text, re.MULTILINE)
    if old is None:
        return text + ("" if not text else "\n" if text.endswith("\n") else "\n\n") + table
    other = re.compile(rf"^[ \t]*\[(?!\[?[ \t]*(?:{names})[ \t]*[.\]])", re.MULTILINE).search(text, old.end())
    end = other.start() if other else len(text)
    # Comments before the next table belong to it.
    kept = re.search(r"(?:^[ \t]*(?:#[^\n]*)?(?:\n|\Z))*\Z", text[old.start() : end], re.MULTILINE)
    return text[: old.start()] + table + (kept[0] if kept else "") + text[end:]


def _replace_file(path: Path, text: str) -> None:
    with system_errors(f"write {shown(path)}", "Set TEXT_RECOGNIZER_METADATA to a copy that can be written."):
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode if path.exists() else None
        replace_file(path, text)
        if mode is not None:
            path.chmod(stat.S_IMODE(mode))
