"""Characters in TFRecords: shards of any of the forms that `text-recognizer records` knows."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from text_recognizer.arguments import to_json
from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.pictures import CharacterSample, PictureDataset, PictureSource
from text_recognizer.datasets.formats.gnt import map_file
from text_recognizer.datasets.formats.tfrecord import Damage, Frame, find_frames
from text_recognizer.datasets.records.checking import all_characters
from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.datasets.records.remote import RemoteShard, is_address, remote_shards
from text_recognizer.datasets.records.shards import Shard, missing_shards, open_shards, pictures, unwritten
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.character_form import as_dark_ink
from text_recognizer.settings import given_path

_PIECE_RECORDS = 4096


@dataclass(frozen=True)
class _RecordsSource(PictureSource):
    """Consecutive records of a shard; of one on a server, all."""

    split: SplitName | None
    shard: Shard | RemoteShard
    frames: list[Frame | Damage] | None
    source_ink: Literal["dark", "light", "auto"]
    count: int
    missing: tuple[str, ...] = ()  # shards

    def __len__(self) -> int:
        return self.count

    def samples(self) -> Iterator[CharacterSample | Rejected]:
        for name in self.missing:
            yield Rejected(name, "the shard is missing", noun="shard")
        with self.shard.here() if isinstance(self.shard, RemoteShard) else nullcontext(self.shard) as shard:
            for found in pictures(shard, self.frames):
                if isinstance(found, Rejected):
                    yield found
                else:
                    record, picture = found
                    yield CharacterSample(
                        record.place, record.text, as_dark_ink(picture, self.source_ink), record.group
                    )


@dataclass(eq=False, repr=False)
class RecordsDataset(PictureDataset):
    """Characters in TFRecords, as `text-recognizer records write` and recognisers of the TensorFlow 1 years make them.

    The records are converted into the memory-mapped store once; training then reads the store, so that its batches are
    shuffled over all shards and a run goes on at the exact position. A damaged record costs that record; it is named
    with its shard and byte in rejected.tsv. Names of shards say the split (train-00012-of-00239).

    Args:
        path: of the folder with the shards, or of one; or the address (https, http, s3) of a folder that
            `text-recognizer records write` has made: its shards are read one after another and not kept.
        record_form: default, inception or crnn; by default that of the folder's index, or the one whose picture the
            first record has.
        keys: where the form has another key: {"image": "image/encoded", "label": "image/class/label"}.
        labels: the file with the ids of the characters, for records that do not say their character; by default
            labels.json in the folder. The classes are its texts, and otherwise the characters found, sorted.
        source_ink: of the pictures. "auto" takes what differs most from the border.
        side, stretch, enlarge, test_fraction, validation_fraction, subsample_fraction, balance, processes: see
            datasets.characters.pictures.PictureDataset.
    """

    path: str
    record_form: str | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    labels: str | None = None
    source_ink: Literal["dark", "light", "auto"] = "dark"

    def __post_init__(self) -> None:
        if is_address(self.path) and (self.record_form, self.keys, self.labels) != (None, {}, None):
            raise SpecError(["of an address, index.json says form, keys and labels."])

    def find_classes(self) -> tuple[str, ...]:
        texts = self._shards[0].texts
        if texts is not None:
            return tuple(texts[number] for number in sorted(texts))
        paths = tuple(shard.path for shard in self._shards)
        return _characters_in(paths, self._shards[0].form, state_of_files(paths))

    def depends_on(self) -> dict[str, Any]:
        form, texts = to_json(self._shards[0].form), self._shards[0].texts
        about = {"form": form, "texts": texts, "source_ink": self.source_ink}
        if is_address(self.path):
            return {"files": [[one.url, *one.listed] for one in self._remote], **about}
        files = [shard.path for shard in self._shards]
        return {"files": [str(file.absolute()) for file in files], "state": state_of_files(files), **about}

    def sources(self) -> Sequence[PictureSource]:
        if is_address(self.path):
            return [
                _RecordsSource(one.shard.split, one, None, self.source_ink, one.listed.examples) for one in self._remote
            ]
        found = []
        for shard in self._shards:
            frames = list(find_frames(map_file(shard.path)))
            for begin in range(0, len(frames), _PIECE_RECORDS):
                piece = frames[begin : begin + _PIECE_RECORDS]
                found.append(_RecordsSource(shard.split, shard, piece, self.source_ink, len(piece)))
        missing = tuple(missing_shards(self._shards)) if given_path(self.path).is_dir() else ()
        return [replace(one, missing=() if place else missing) for place, one in enumerate(found)]

    @cached_property
    def _remote(self) -> tuple[RemoteShard, ...]:
        return remote_shards(self.path)

    @cached_property
    def _shards(self) -> list[Shard]:
        if is_address(self.path):
            return [one.shard for one in self._remote]
        path = given_path(self.path)
        if stopped := unwritten(path):
            raise DataError(stopped)
        labels = given_path(self.labels) if self.labels is not None else None
        return open_shards(path, self.record_form, self.keys, labels)


@lru_cache(maxsize=16)  # checking a sweep asks for the same files at every point
def _characters_in(paths: tuple[Path, ...], form: RecordForm, state: str) -> tuple[str, ...]:  # noqa: ARG001 - of the key
    return tuple(all_characters([Shard(path, form) for path in paths]))
