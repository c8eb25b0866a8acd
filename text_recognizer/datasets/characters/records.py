"""Characters in TFRecords: shards of any form that `text-recognizer records` supports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.pictures import CharacterSample, PictureDataset, PictureSource
from text_recognizer.datasets.formats.gnt import map_file
from text_recognizer.datasets.formats.tfrecord import Damage, Frame, find_frames
from text_recognizer.datasets.records.checking import all_characters
from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.datasets.records.given import GivenRecords
from text_recognizer.datasets.records.reading import Shard, pictures
from text_recognizer.datasets.records.remote import RemoteShard
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import as_dark_ink

_PIECE_RECORDS = 4096


@dataclass(frozen=True)
class _RecordsSource(PictureSource):
    """Consecutive records of a shard; all records of a shard on a server."""

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
        with self.shard.here() as shard:
            for found in pictures(shard, self.frames):
                if isinstance(found, Rejected):
                    yield found
                else:
                    record, picture = found
                    yield CharacterSample(
                        record.place, record.text, as_dark_ink(picture, self.source_ink), record.group
                    )


@dataclass(eq=False, repr=False)
class RecordsDataset(GivenRecords, PictureDataset):
    """Characters in TFRecords, as `text-recognizer records write` and recognisers of the TensorFlow 1 years make them.

    The records are converted into the memory-mapped store once. Training then reads the store, so its batches are
    shuffled over all shards and a run resumes at the exact position. A damaged record is lost alone, a damaged length
    with the rest of its shard; rejected.tsv lists both with shard and byte. Names of shards give the split
    (train-00012-of-00239). The classes are the texts of the label file or, without one, the characters found, sorted.

    Args:
        source_ink: polarity of the images. "auto" takes what differs most from the border.
    """

    target, others = "character", "RecordLinesDataset"

    source_ink: Literal["dark", "light", "auto"] = "dark"

    def find_classes(self) -> tuple[str, ...]:
        texts = self.shards[0].texts
        if texts is not None:
            return tuple(texts[number] for number in sorted(texts))
        paths = tuple(shard.path for shard in self.shards)
        found = _characters_in(paths, self.shards[0].form, state_of_files(paths))
        if not found:
            raise DataError(
                f"the records of {self.path} do not hold their texts. Give labels, the file with the text of each id."
            )
        return found

    def depends_on(self) -> dict[str, Any]:
        return {**super().depends_on(), "source_ink": self.source_ink}

    def sources(self) -> Sequence[PictureSource]:
        if self.remote:
            return [
                _RecordsSource(one.shard.split, one, None, self.source_ink, one.listed.examples) for one in self.remote
            ]
        found = []
        for shard in self.shards:
            frames = list(find_frames(map_file(shard.path)))
            for begin in range(0, len(frames), _PIECE_RECORDS):
                piece = frames[begin : begin + _PIECE_RECORDS]
                found.append(_RecordsSource(shard.split, shard, piece, self.source_ink, len(piece)))
        missing = tuple(self.missing)
        return [replace(one, missing=() if place else missing) for place, one in enumerate(found)]


@lru_cache(maxsize=16)  # checking a sweep asks for the same files at every point
def _characters_in(paths: tuple[Path, ...], form: RecordForm, state: str) -> tuple[str, ...]:  # noqa: ARG001 - of the key
    return tuple(all_characters([Shard(path, form) for path in paths]))
