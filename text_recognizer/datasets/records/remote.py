"""Records on a server: shards are read one after another and not kept."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from text_recognizer.datasets.records.label_files import LABELS
from text_recognizer.datasets.records.shards import INDEX, Shard, open_shards, shard_sizes
from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.datasets.remote.fetch import disk_errors
from text_recognizer.errors import DataError
from text_recognizer.settings import data_folder


def is_address(path: str) -> bool:
    return re.match(r"(https?|s3)://", path) is not None


@dataclass(frozen=True)
class RemoteShard:
    """A shard on a server.

    Args:
        shard: as it will be here; its path is its name.
        examples: that the index says it has.
    """

    url: str
    shard: Shard
    size_bytes: int
    examples: int

    @contextmanager
    def here(self) -> Iterator[Shard]:
        """The shard as a file of this machine, until the end."""
        with _temporary() as folder:
            path = folder / self.shard.path
            _download(self.url, path, self.size_bytes)
            yield replace(self.shard, path=path)


def remote_shards(address: str) -> list[RemoteShard]:
    """The shards of a folder that `records write` has made and a server offers.

    Raises:
        DataError: it has no index, no label file, or an index without shards.
    """
    address = address.rstrip("/")
    with _temporary() as folder:
        for name in (INDEX, LABELS):
            _download(f"{address}/{name}", folder / name)
        sizes = shard_sizes(folder)
        for name in sizes:  # what is read of a shard but its content is in its name and beside it
            (folder / name).touch()
        shards = open_shards(folder) if sizes else []
    if not sizes or {shard.path.name for shard in shards} != sizes.keys():
        raise DataError(f"{address}/{INDEX} does not list the shards. Write the records to their end first.")
    return [
        RemoteShard(f"{address}/{one.path.name}", replace(one, path=Path(one.path.name)), *sizes[one.path.name])
        for one in shards
    ]


@contextmanager
def _temporary() -> Iterator[Path]:
    parent = data_folder() / "streamed"
    with disk_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            yield Path(folder)


def _download(url: str, path: Path, size_bytes: int | None = None) -> None:
    try:
        Download(path, size_bytes=size_bytes).run(url)
    except DownloadError as error:
        raise DataError(f"cannot read {url}: {error}.") from None
