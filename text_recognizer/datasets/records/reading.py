"""Reads the records of a shard, without TensorFlow and without trusting their headers."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.formats.gnt import map_file
from text_recognizer.datasets.formats.tfrecord import Damage, Frame, data_of, decode_example, find_frames
from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError, reason
from text_recognizer.images.grey import MOST_PIXELS, read_grey
from text_recognizer.images.line_steps import Grey
from text_recognizer.reading_order import logical_order

_FIRST = 100  # records that determine whether all show characters or lines


@dataclass(frozen=True)
class Shard:
    """One file of records, with the split from its name and the texts of ids from a label file.

    Args:
        target: what the images show, "character" or "line", if an index says so.
    """

    path: Path
    form: RecordForm
    split: SplitName | None = None
    texts: Mapping[int, str] | None = None
    target: str = ""

    @contextmanager
    def here(self) -> Iterator["Shard"]:
        """The shard as a local file, for the duration of the block."""
        yield self


@dataclass(frozen=True)
class Record:
    """One Example.

    Args:
        place: its shard and offset in bytes.
        label: its ids.
        text: its text; "" if neither the record nor a label file has it.
    """

    place: str
    features: Mapping[str, list[Any]]
    label: tuple[int, ...]
    text: str
    name: str
    group: str


def target_of(shards: Sequence[Shard]) -> str:
    """What the images show, "character" or "line": from the index, or by the number of ids in the first records.

    If these have one id each, all are characters; if most have several, all are lines; otherwise it is "".
    """
    if shards[0].target or not shards[0].path.is_file():  # on a server, only the index is known yet
        return shards[0].target
    first = islice((one for shard in shards for one in records(shard, with_picture=False)), _FIRST)
    counts = [len(one.label) for one in first if isinstance(one, Record)]
    several = sum(count > 1 for count in counts)
    return "line" if 2 * several > len(counts) else "character" if {*counts} == {1} else ""


def records(
    shard: Shard, frames: Sequence[Frame | Damage] | None = None, with_picture: bool = True
) -> Iterator[Record | Rejected]:
    """The records of a shard, or some frames of it, in order, and its damages.

    Args:
        with_picture: read all features, not only labels and texts.
    """
    content, form = map_file(shard.path), shard.form
    keys = None if with_picture else [one for one in (form.label, form.text, form.name, form.group) if one]
    for frame in find_frames(content) if frames is None else frames:
        place = f"{shard.path.name}@{frame.offset}"
        if isinstance(frame, Damage):
            yield Rejected(place, f"{frame.reason}: {frame.size:,} bytes skipped")
            continue
        try:
            yield _record(place, decode_example(data_of(content, frame), keys), shard)
        except ValueError as error:
            yield Rejected(place, str(error))


def pictures(shard: Shard, frames: Sequence[Frame | Damage] | None = None) -> Iterator[tuple[Record, Grey] | Rejected]:
    """The same with the grey image (H, W) of each record."""
    for record in records(shard, frames):
        if isinstance(record, Rejected):
            yield record
            continue
        try:
            yield record, picture_of(record, shard.form)
        except ValueError as error:
            yield Rejected(record.place, str(error), record.text)


def _record(place: str, features: dict[str, list[Any]], shard: Shard) -> Record:
    label, text = features.get(shard.form.label, []), _text(features, shard.form.text)
    if not all(type(one) is int for one in label):
        raise ValueError(f"its '{shard.form.label}' are not whole numbers")
    if not text and shard.texts is not None:
        if unknown := [one for one in label if one not in shard.texts]:
            raise ValueError(f"its label has no text in the label file: {unknown[0]}")
        text = logical_order("".join(shard.texts[one] for one in label))
    name, group = _text(features, shard.form.name) or place, _text(features, shard.form.group)
    return Record(place, features, tuple(label), text, name, group)


def sound_pictures(shards: Sequence[Shard], rejected: list[Rejected]) -> Iterator[tuple[Shard, Record, Grey]]:
    """The valid records of all shards with their images; damages are appended to `rejected`."""
    for shard in shards:
        for found in pictures(shard):
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                yield shard, *found


def picture_of(record: Record, form: RecordForm) -> Grey:
    """The grey image (H, W) of a record. Raises ValueError: it has none that can be read."""
    features = record.features
    content = _one(features, form.image, bytes, b"")
    if not content:
        raise ValueError(f"it has no image under the key '{form.image}'")
    if _one(features, form.encoding, bytes, b"raw" if form.raw_height else b"") == b"raw":
        return _raw(features, form, content)
    try:
        return read_grey(io.BytesIO(content))
    except DataError as error:
        raise ValueError(f"its image cannot be read: {reason(error)}") from None


def _raw(features: Mapping[str, list[Any]], form: RecordForm, content: bytes) -> Grey:
    channels = form.raw_channels
    height = _one(features, form.height, int, form.raw_height)
    width = _one(features, form.width, int, len(content) // max(1, height * channels))
    if height < 1 or width < 1 or math.prod((height, width, channels)) != len(content):
        raise ValueError(f"its image of {width} x {height} pixels has {len(content)} bytes")
    if height * width > MOST_PIXELS:
        raise ValueError(f"its image has {height * width:,} pixels")
    pixels: Grey = np.frombuffer(content, np.uint8).reshape(height, width, channels)
    # Weights of ITU-R BT.601 for blue, green and red.
    weights = np.array([0.114, 0.587, 0.299], np.float32)
    return pixels[..., 0] if channels == 1 else np.rint(pixels @ weights).astype(np.uint8)


def _text(features: Mapping[str, list[Any]], key: str) -> str:
    try:
        return str(_one(features, key, bytes, b""), "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"its '{key}' is not text in UTF-8") from None


def _one(features: Mapping[str, list[Any]], key: str, kind: type, default: Any) -> Any:
    """The single value of a feature; the default if there is no such feature."""
    values = features.get(key, []) if key else []
    if not values:
        return default
    if len(values) != 1 or type(values[0]) is not kind:
        raise ValueError(f"its '{key}' is not one value of type {kind.__name__}")
    return values[0]
