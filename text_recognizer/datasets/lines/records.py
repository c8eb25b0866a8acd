"""Lines in TFRecords: shards of any form that `text-recognizer records` supports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from text_recognizer.datasets.formats.gnt import map_file
from text_recognizer.datasets.formats.tfrecord import Damage, Frame, find_frames
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.pool import LINES_A_TASK
from text_recognizer.datasets.records.given import GivenRecords
from text_recognizer.datasets.records.reading import Record, Shard, picture_of, records
from text_recognizer.datasets.records.remote import RemoteShard
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.images.line_form import SourceInk, UnfitImageError
from text_recognizer.images.line_steps import Grey


@dataclass(eq=False, repr=False)
class RecordLinesDataset(GivenRecords, LineDataset):
    """Lines in TFRecords, as `text-recognizer records write` and recognisers of the TensorFlow 1 years make them.

    The records are converted into the memory-mapped store once; training then reads the store. A damaged record is lost
    alone, a damaged length with the rest of its shard; rejected.tsv lists both with shard and byte. Names of shards
    give the split (train-00012-of-00239). Shards on a server are read twice: first their texts, which define the
    charset. Records whose label is not the ids of their characters need the keys {"label": ""}.
    """

    target, others = "line", "RecordsDataset"

    source_ink: SourceInk = field(default="dark", kw_only=True)

    def sources(self) -> Iterator[LineSource]:
        for name in self.missing:
            lost = LineSample(name, "", problem="the shard is missing", noun="shard")
            yield _Records((lost,), self.shards[0], ())
        yield from self._streamed if self.remote else self._found(self.shards)

    @cached_property
    def _streamed(self) -> list[LineSource]:
        """Cached, because finding them takes a download."""
        _ = self.shards  # raises if these are not lines, before anything is downloaded
        return list(self._found(self.remote))

    def _found(self, shards: Sequence[Shard | RemoteShard]) -> Iterator[LineSource]:
        for given in shards:
            with given.here() as shard:
                frames = list(find_frames(map_file(shard.path)))
                step = max(1, len(frames)) if self.remote else LINES_A_TASK
                for begin in range(0, len(frames), step):
                    piece = frames[begin : begin + step]
                    samples = tuple(_sample(one, shard) for one in records(shard, piece, with_picture=False))
                    yield _Records(samples, given, piece)


@dataclass(frozen=True)
class _Records(LineSource):
    """Consecutive records of a shard; all records of a shard on a server."""

    shard: Shard | RemoteShard
    frames: Sequence[Frame | Damage]

    def read(self, position: int) -> Grey:
        record = self._records[position]
        if isinstance(record, Rejected):
            raise UnfitImageError(record.reason)
        try:
            return picture_of(record, self.shard.form)
        except ValueError as error:
            raise UnfitImageError(str(error)) from None

    @cached_property
    def _records(self) -> list[Record | Rejected]:
        with self.shard.here() as shard:
            return list(records(shard, self.frames))


def _sample(found: Record | Rejected, shard: Shard) -> LineSample:
    if isinstance(found, Rejected):
        return LineSample(found.name, found.text, problem=found.reason)
    problem = "it says no text, nor does a label file (dataset_args.labels)" if not found.text else ""
    return LineSample(found.place, found.text, found.group, shard.split or "", problem)
