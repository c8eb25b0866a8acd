"""Records on a server: shards are read one by one and not kept."""

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.datasets.records.label_files import LABELS
from text_recognizer.datasets.records.reading import Shard
from text_recognizer.datasets.records.shards import INDEX, ListedShard, listed_shards, open_shards
from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.datasets.remote.fetch import disk_errors, one_process
from text_recognizer.datasets.remote.metadata import without_password
from text_recognizer.errors import DataError, reason
from text_recognizer.settings import data_folder
from text_recognizer.whole_files import replace_file


def is_address(path: str) -> bool:
    return re.match(r"(https?|s3)://", path) is not None


@dataclass(frozen=True)
class RemoteShard:
    """A shard on a server; the path of `shard` is its name."""

    url: str
    shard: Shard
    listed: ListedShard

    @property
    def form(self) -> RecordForm:
        return self.shard.form

    @contextmanager
    def here(self) -> Iterator[Shard]:
        """The shard as a local file, for the duration of the block; an interrupted transfer is continued."""
        address, _, name = self.url.rpartition("/")
        folder = _kept_folder(address)
        path = folder / name
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with one_process(path, f"to read {without_password(self.url)}"):
                try:
                    _download(self.url, Download(path, self.listed.sha256, INDEX, self.listed.size_bytes))
                    yield replace(self.shard, path=path)
                finally:
                    path.unlink(missing_ok=True)


@lru_cache(maxsize=16)  # checking a sweep needs the same address for every point
def remote_shards(address: str) -> tuple[RemoteShard, ...]:
    """The shards of a folder written by `records write` and served by a server.

    If the server is unavailable, those that it had the last time: they may all be in the store already.

    Raises:
        DataError: it has no index, no label file, or an index without shards.
    """
    address = address.rstrip("/")
    kept = _kept_folder(address)
    with disk_errors(kept), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        try:
            for name in (INDEX, LABELS):
                _download(f"{address}/{name}", Download(folder / name))
        except DataError as error:
            if not (kept / LABELS).is_file():
                raise
            sys.stderr.write(f"{error} {INDEX} of the last time is used.\n")
            for name in (INDEX, LABELS):
                shutil.copy(kept / name, folder)
        listed = listed_shards(folder)
        for name in listed:  # everything about a shard except its content is in its name and beside it
            (folder / name).touch()
        shards = open_shards(folder) if listed else []
        if not listed or {shard.path.name for shard in shards} != listed.keys():
            raise DataError(f"{address}/{INDEX} does not list the shards. Write the records to their end first.")
        for name in (INDEX, LABELS):
            replace_file(kept / name, (folder / name).read_text(encoding="utf-8"))
    return tuple(
        RemoteShard(f"{address}/{one.path.name}", replace(one, path=Path(one.path.name)), listed[one.path.name])
        for one in shards
    )


def _kept_folder(address: str) -> Path:
    return data_folder() / "streamed" / hashlib.sha256(address.encode()).hexdigest()[:16]


def _download(url: str, download: Download) -> None:
    try:
        download.run(url)
    except DownloadError as error:
        raise DataError(f"cannot read {without_password(url)}: {reason(error)}.") from None
