"""The arguments of datasets of records, and their shards."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from text_recognizer.arguments import to_json
from text_recognizer.datasets.records.reading import Shard, target_of
from text_recognizer.datasets.records.remote import RemoteShard, is_address, remote_shards
from text_recognizer.datasets.records.shards import missing_shards, open_shards, unwritten
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.errors import DataError, SpecError
from text_recognizer.settings import given_path


@dataclass(eq=False, repr=False)
class GivenRecords:
    """Base of the datasets of records.

    Args:
        path: a folder with shards, or one shard; or the address (https, http, s3) of a folder made by `text-recognizer
            records write`, whose shards are read one after another and not kept.
        record_form: default, inception or crnn; by default that of the folder's index, or the one whose image key the
            first record has.
        keys: keys that differ from the form: {"image": "image/encoded", "label": "image/class/label"}; "" for none.
        labels: the file with the ids of the characters, for records that do not say their text; by default labels.json
            in the folder.
    """

    target: ClassVar[str]  # what its images show, as in DataSpec
    others: ClassVar[str]  # the dataset for records of the other kind

    path: str
    record_form: str | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    labels: str | None = None

    @cached_property
    def shards(self) -> list[Shard]:
        """The shards; for an address, only their names. Raises DataError: there are none, or of another kind."""
        if is_address(self.path):
            if (self.record_form, self.keys, self.labels) != (None, {}, None):
                raise SpecError(["for an address, index.json defines form, keys and labels."])
            shards = [one.shard for one in self.remote]
        else:
            path = given_path(self.path)
            if stopped := unwritten(path):
                raise DataError(stopped)
            labels = given_path(self.labels) if self.labels is not None else None
            shards = open_shards(path, self.record_form, self.keys, labels)
        if (found := target_of(shards)) not in ("", self.target):
            raise DataError(f"{self.path} has records of {found}s, expected {self.target}s. Take {self.others}.")
        return shards

    @cached_property
    def remote(self) -> tuple[RemoteShard, ...]:
        return remote_shards(self.path) if is_address(self.path) else ()

    @property
    def missing(self) -> list[str]:
        """Names of missing shards."""
        return missing_shards(self.shards) if not self.remote and given_path(self.path).is_dir() else []

    def depends_on(self) -> dict[str, Any]:
        about = {"record_form": to_json(self.shards[0].form), "texts": self.shards[0].texts}
        if self.remote:
            return {"files": [[one.url, *one.listed] for one in self.remote], **about}
        files = [shard.path for shard in self.shards]
        return {"files": [str(file.absolute()) for file in files], "state": state_of_files(files), **about}
