"""Records on a server: shards are read one after another and not kept."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from text_recognizer.datasets.records.label_files import LABELS
from text_recognizer.datasets.records.shards import INDEX, ListedShard, Shard, listed_shards, open_shards
from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.datasets.remote.fetch import disk_errors, one_process
from text_recognizer.errors import DataError
from text_recognizer.settings import data_folder


def is_address(path: str) -> bool:
    return re.match(r"(https?|s3)://", path) is not None


@dataclass(frozen=True)
class RemoteShard:
    """A shard on a server; the path of `shard` is its name."""

    url: str
    shard: Shard
    listed: ListedShard

    @contextmanager
    def here(self) -> Iterator[Shard]:
        """The shard as a file of this machine, until the end; a transfer that a kill has cut off is continued."""
        address, _, name = self.url.rpartition("/")
        folder = data_folder() / "streamed" / hashlib.sha256(address.encode()).hexdigest()[:16]
        path = folder / name
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with one_process(path, f"to read {self.url}"):
                try:
                    _download(self.url, Download(path, self.listed.sha256, INDEX, self.listed.size_bytes))
                    yield replace(self.shard, path=path)
                finally:
                    path.unlink(missing_ok=True)


def remote_shards(address: str) -> list[RemoteShard]:
    """The shards of a folder that `records write` has made and a server offers.

    Raises:
        DataError: it has no index, no label file, or an index without shards.
    """
    address = address.rstrip("/")
    with disk_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in (INDEX, LABELS):
            _download(f"{address}/{name}", Download(folder / name))
        listed = listed_shards(folder)
        for name in listed:  # what is read of a shard but its content is in its name and beside it
            (folder / name).touch()
        shards = open_shards(folder) if listed else []
    if not listed or {shard.path.name for shard in shards} != listed.keys():
        raise DataError(f"{address}/{INDEX} does not list the shards. Write the records to their end first.")
    return [
        RemoteShard(f"{address}/{one.path.name}", replace(one, path=Path(one.path.name)), listed[one.path.name])
        for one in shards
    ]


def _download(url: str, download: Download) -> None:
    try:
        download.run(url)
    except DownloadError as error:
        raise DataError(f"cannot read {url}: {error}.") from None
