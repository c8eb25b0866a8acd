"""Remote datasets and the state of their files."""

from typing import Any

from text_recognizer.datasets.remote.fetch import raw_folder, state
from text_recognizer.datasets.remote.metadata import RemoteTable, without_password


def describe_table(table: RemoteTable) -> dict[str, Any]:
    """A table of the registry, and the state of its files here."""
    return {
        **{key: getattr(table, key) for key in ("name", "title", "licence", "homepage", "citation")},
        "files": [
            {"filename": file.filename, "urls": [without_password(url) for url in file.urls], "sha256": file.sha256}
            | {"size_bytes": file.size_bytes, "login": file.login}
            for file in table.files
        ],
        "size_bytes": table.size_bytes,
        "state": state(table),
        "folder": str(raw_folder(table)),
    }
