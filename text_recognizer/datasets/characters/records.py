"""Characters in TFRecords: shards of any of the forms that `text-recognizer records` knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.pictures import CharacterSample, PictureDataset, PictureSource
from text_recognizer.datasets.formats.tfrecord import Damage, Frame
from text_recognizer.datasets.records.checking import all_characters
from text_recognizer.datasets.records.forms import RecordForm, form_as_json
from text_recognizer.datasets.records.shards import Shard, Shards, open_shards, pieces, records
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import as_dark_ink

_PIECE_RECORDS = 4096


@dataclass(frozen=True)
class _RecordsSource(PictureSource):
    """Consecutive records of a shard."""

    split: SplitName | None
    shard: Shard
    frames: list[Frame | Damage]
    form: RecordForm
    texts: dict[int, str] | None
    source_ink: Literal["dark", "light", "auto"]

    def __len__(self) -> int:
        return len(self.frames)

    def samples(self) -> Iterator[CharacterSample | Rejected]:
        for record in records(self.shard.path, self.form, self.texts, self.frames):
            if isinstance(record, Rejected):
                yield record
                continue
            try:
                picture = as_dark_ink(record.picture(self.form), self.source_ink)
            except ValueError as error:
                yield Rejected(record.place, str(error), record.text)
            else:
                yield CharacterSample(record.place, record.text, picture, record.group)


@dataclass(eq=False, repr=False)
class RecordsDataset(PictureDataset):
    """Characters in TFRecords, as `text-recognizer records write` and recognisers of the TensorFlow 1 years make them.

    The records are converted into the memory-mapped store once; training then reads the store, so that its batches are
    shuffled over all shards and a run goes on at the exact position. A damaged record costs that record; it is named
    with its shard and byte in rejected.tsv. Names of shards say the split (train-00012-of-00239).

    Args:
        path: of the folder with the shards, or of one.
        record_form: default, inception or crnn; by default that of the folder's index, or the one whose picture the
            first record has.
        keys: where the form has another key: {"image": "image/encoded", "label": "image/class/label"}.
        labels: the file with the ids of the characters, for records that do not say their character; by default
            labels.json in the folder. The classes are its texts, and otherwise the characters found, sorted.
        source_ink: of the pictures. "auto" takes what differs most from the border.
        side, stretch, test_fraction, validation_fraction, subsample_fraction, balance, processes: see
            datasets.characters.pictures.PictureDataset.
    """

    path: str
    record_form: str | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    labels: str | None = None
    source_ink: Literal["dark", "light", "auto"] = "dark"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        texts = self._shards.texts
        found = [texts[number] for number in sorted(texts)] if texts else all_characters(self._shards)
        if len(found) < 2:
            raise DataError(f"{self.name}: {self.path} has {len(found)} characters; at least two are needed.")
        return tuple(found)

    def source(self) -> dict[str, Any]:
        files = [shard.path for shard in self._shards.files]
        return {
            "files": [str(file.absolute()) for file in files],
            "state": state_of_files(files),
            "form": form_as_json(self._shards.form),
            "texts": self._shards.texts,
            "source_ink": self.source_ink,
        }

    def sources(self) -> Sequence[PictureSource]:
        texts = dict(self._shards.texts) if self._shards.texts is not None else None
        return [
            _RecordsSource(shard.split, shard, frames, self._shards.form, texts, self.source_ink)
            for shard in self._shards.files
            for frames in pieces(shard.path, _PIECE_RECORDS)
        ]

    @cached_property
    def _shards(self) -> Shards:
        labels = Path(self.labels).expanduser() if self.labels is not None else None
        return open_shards(Path(self.path).expanduser(), self.record_form, self.keys, labels)
