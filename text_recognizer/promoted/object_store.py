"""ObjectStore: promoted models at an s3:// address, in the same layout as in a ModelStore.

Each store has its own version numbers: the same bundle may be version 3 here and version 1 there.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.datasets.remote.download_s3 import s3_client
from text_recognizer.errors import DataError, SpecError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.promoted.manifest import MANIFEST, MOST_BYTES, FileFacts, Manifest, digest_of, is_digest
from text_recognizer.promoted.store import CURRENT, ModelStore, Version, check_name, version_number
from text_recognizer.wording import received

MOST_RECORD_BYTES = 1 << 16
MOST_TRIES = 10  # to take a version number while other processes take numbers too
_NOT_THERE = ("NoSuchKey", "404")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class Place:
    """Objects below an address of any S3 store (AWS_ENDPOINT_URL). Raises SpecError: it is not such an address.

    Args:
        use: purpose of the address, for the message.
    """

    def __init__(self, address: str, use: str) -> None:
        try:
            parts = urlsplit(address)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise SpecError(f"{use} s3://bucket or s3://bucket/prefix. {received(address)}")
        self.address = address.rstrip("/")
        self.bucket, self.prefix = parts.netloc, f"{path}/" if (path := parts.path.strip("/")) else ""

    @cached_property
    def client(self) -> Any:
        return s3_client()[0]

    def entries(self, below: str = "") -> Iterator[dict[str, Any]]:
        """Key, Size and ETag of each object."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + below)
        return (entry for page in pages for entry in page.get("Contents", ()))

    def open(self, key: str) -> Any:
        return self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"]

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Converts errors to a message with what failed and what to check."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: an invalid endpoint address
            raise DataError(
                f"cannot {what}: {reason(error)}. Check the address, your keys (AWS_ACCESS_KEY_ID, "
                f"AWS_SECRET_ACCESS_KEY), and AWS_ENDPOINT_URL if the store is not Amazon's."
            ) from error


class ObjectStore(Place):
    """Promoted models at an address. Raises SpecError: it is not such an address."""

    def __init__(self, address: str) -> None:
        super().__init__(address, "models are pushed to and pulled from")

    def push(self, store: ModelStore, version: Version) -> int:
        """Uploads a version's bundle as the name's current one; returns its number. Raises DataError: it failed."""
        manifest = store.manifest(version)
        with self.told(f"push {version} to {self.address}"):
            place = f"bundles/{version.digest}"
            if self._read(f"{place}/{MANIFEST}", MOST_BYTES) is None:  # it is written last
                for name in (*manifest.files, MANIFEST):
                    with open(version.folder / name, "rb") as file:
                        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}{place}/{name}", Body=file)
            number = self._number(version)
            self._write(f"names/{version.name}/{CURRENT}", f"{number}\n")
        return number

    def pull(self, store: ModelStore, name: str, number: int | None, check: Callable[[Path], object]) -> Version:
        """Downloads a version, which becomes the current one here. Every file's hash is verified.

        Args:
            number: number of the version there; None for the current one.
            check: raises an error if the bundle in a folder is invalid.
        Raises:
            DataError: there is no such model, it is damaged, or the store cannot be reached.
        """
        check_name(name)
        with self.told(f"pull {name} from {self.address}"), store.changing():
            digest = self._digest(name, number)
            content = self._needed(f"bundles/{digest}/{MANIFEST}", MOST_BYTES)
            if digest_of(content) != digest:
                raise DataError(f"{self.address}/bundles/{digest}/{MANIFEST} is not what was pushed. Push it again.")
            manifest = Manifest.parse(content, f"{self.address}/bundles/{digest}/{MANIFEST}")
            if not store.has(manifest):
                with store.new_folder() as folder:
                    for file_name, facts in manifest.files.items():
                        self._fetch(f"bundles/{digest}/{file_name}", folder / file_name, facts)
                    check(folder)
                    store.put(folder, manifest)
            return store.keep(name, manifest)

    def _number(self, version: Version) -> int:
        """The number of a version there; a new one if its bundle is new there."""
        for _ in range(MOST_TRIES):
            known = self._versions(version.name)
            number = next((number for number, digest in known.items() if digest == version.digest), None)
            if number is not None:
                return number
            number = max(known, default=0) + 1
            record = json.dumps(version.to_json()) + "\n"
            if self._write(f"names/{version.name}/{number}.json", record, IfNoneMatch="*"):
                return number
        raise DataError(f"others keep pushing '{version.name}' to {self.address}. Push again.")

    def _versions(self, name: str) -> dict[int, str]:
        stems = [Path(entry["Key"]).stem for entry in self.entries(f"names/{name}/")]
        numbers = (number for stem in stems if (number := version_number(stem)) is not None)
        return {number: self._digest(name, number) for number in numbers}

    def _digest(self, name: str, number: int | None) -> str:
        if number is None:
            text = self._needed(f"names/{name}/{CURRENT}", MOST_RECORD_BYTES).strip()
            number = version_number(text.decode(errors="replace"))
        key = f"names/{name}/{CURRENT if number is None else f'{number}.json'}"
        try:
            digest = parse_json_text(self._needed(key, MOST_RECORD_BYTES).decode())["bundle"]
        except (ValueError, KeyError, TypeError):
            digest = None
        if not is_digest(digest):
            raise DataError(f"{self.address}/{key} names no bundle: it is damaged. Push the model again.")
        return str(digest)

    def _needed(self, key: str, most_bytes: int) -> bytes:
        content = self._read(key, most_bytes)
        if content is None:
            raise DataError(f"there is no {self.address}/{key}. Push the model first, or choose another address.")
        return content

    def _read(self, key: str, most_bytes: int) -> bytes | None:
        """The content of an object; None if there is none."""
        from botocore.exceptions import ClientError

        try:
            content: bytes = self.open(key).read(most_bytes + 1)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return None
            raise
        if len(content) > most_bytes:
            raise DataError(f"{self.address}/{key} is larger than the {most_bytes:,} bytes that are read.")
        return content

    def _fetch(self, key: str, path: Path, facts: FileFacts) -> None:
        """Downloads one file of a bundle, resuming broken connections; never writes more than its size."""
        try:
            Download(path, facts.sha256, "its manifest", facts.size_bytes).run(f"s3://{self.bucket}/{self.prefix}{key}")
        except DownloadError as error:
            problem = f"cannot pull {self.address}/{key}: {error}"
            raise DataError(f"{problem}. Pull again; if it repeats, push the model again.") from None

    def _write(self, key: str, text: str, **conditions: str) -> bool:
        """Writes an object; returns whether the conditions allowed it."""
        from botocore.exceptions import ClientError

        try:
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=text.encode(), **conditions)
        except ClientError as error:
            if conditions and error.response["Error"]["Code"] in _TAKEN:
                return False
            raise
        return True
