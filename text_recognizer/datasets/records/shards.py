"""A folder of shards and the records in them, read without TensorFlow and without trusting what they announce."""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.formats.gnt import map_file
from text_recognizer.datasets.formats.line_lists import SPLITS
from text_recognizer.datasets.formats.tfrecord import Damage, Frame, data_of, decode_example, find_frames
from text_recognizer.datasets.records.forms import FORMS, RecordForm, form_named
from text_recognizer.datasets.records.label_files import LABELS, read_labels
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.grey import MOST_PIXELS, read_grey
from text_recognizer.images.line_form import Grey
from text_recognizer.json_text import parse_json_text
from text_recognizer.reading_order import logical_order
from text_recognizer.wording import counted

INDEX = "index.json"
_MOST_SHARD_DIGITS = 5
_MOST_LISTED = 20
_FIRST = 100  # records that say whether all are of characters or of lines


@dataclass(frozen=True)
class Shard:
    """One file of records, with the split that its name says and the texts of ids that a label file says.

    Args:
        target: what the pictures show, "character" or "line", where an index says so.
    """

    path: Path
    form: RecordForm
    split: SplitName | None = None
    texts: Mapping[int, str] | None = None
    target: str = ""

    @contextmanager
    def here(self) -> Iterator["Shard"]:
        """The shard as a file of this machine, until the end."""
        yield self


@dataclass(frozen=True)
class Record:
    """One Example.

    Args:
        place: its shard and the byte at which it begins.
        label: its ids.
        text: what it shows; "" where neither it nor a label file says so.
    """

    place: str
    features: Mapping[str, list[Any]]
    label: tuple[int, ...]
    text: str
    name: str
    group: str


def open_shards(
    path: Path,
    form: str | None = None,
    keys: Mapping[str, Any] | None = None,
    labels: Path | None = None,
    whole: bool = False,
) -> list[Shard]:
    """The shards of a folder, or one shard. Raises DataError: there are none, or what they are is not to be found out.

    Args:
        form: of the table of forms; by default that of the folder's index, or the one whose picture the first record
            has.
        keys: other keys than the form's.
        labels: see `label_files.read_labels`; by default labels.json in the folder.
        whole: a folder that lacks shards is refused.
    """
    folder = path if path.is_dir() else path.parent
    found, target = (form_named(form or "default", keys), "") if form or keys else _indexed(folder)
    paths = _files(path, found)
    found = found or _form_of(paths)
    if labels is None and (folder / LABELS).is_file():
        labels = folder / LABELS
    texts = {number: text for text, number in read_labels(labels).items()} if labels is not None else None
    splits = {file: found.file_pattern.fullmatch(file.name) for file in paths}
    shards = [
        Shard(file, found, SPLITS.get(match["split"]) if match else None, texts, target)
        for file, match in splits.items()
    ]
    if whole and path.is_dir() and (lack := lacking(shards)):
        raise DataError(f"{lack.rstrip('.')}. A single shard is taken by its own path, whatever lies beside it.")
    return shards


class ListedShard(NamedTuple):
    """What an index says of a shard; indexes of earlier versions have no hash."""

    size_bytes: int
    examples: int
    sha256: str | None


def listed_shards(folder: Path) -> dict[str, ListedShard]:
    """The shards that the index of a folder names; none where it is not finished.

    Raises:
        DataError: the index is damaged, or names what is no shard.
    """
    form, _ = _indexed(folder)
    try:
        splits = parse_json_text((folder / INDEX).read_text(encoding="utf-8")).get("splits", {})
        found = {
            name: ListedShard(int(about["bytes"]), int(about["examples"]), about.get("sha256"))
            for split in splits.values()
            for name, about in split["shards"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{INDEX} is no index of records: {type(error).__name__}: {error}.") from None
    for name, about in found.items():
        if form is None or form.file_pattern.fullmatch(name) is None:
            raise DataError(f"{INDEX} names {name[:80]!a}, which is no name of a shard.")
        if about.sha256 is not None and re.fullmatch("[0-9a-f]{64}", str(about.sha256)) is None:
            raise DataError(f"{INDEX} gives {name} a sha256 that is not 64 hexadecimal digits.")
    return found


def missing_shards(shards: Sequence[Shard]) -> list[str]:
    """Names of shards that the index, or the names of the others, speak of, and that are not beside them."""
    form, folder = shards[0].form, shards[0].path.parent
    found = filter(None, [form.file_pattern.fullmatch(shard.path.name) for shard in shards])
    wanted = {
        form.files.format(split=split, shard=number, shards=int(count))
        for split, count in {(one["split"], one["shards"]) for one in found if "shards" in one.groupdict()}
        if len(count) <= _MOST_SHARD_DIGITS
        for number in range(int(count))
    }
    with suppress(DataError):
        wanted |= listed_shards(folder).keys()
    return sorted(name for name in wanted if not (folder / name).exists())


def lacking(shards: Sequence[Shard]) -> str:
    """What is not there of a folder of records, in a sentence; "" where all is."""
    missing = missing_shards(shards)
    more = ", …" if len(missing) > _MOST_LISTED else ""
    shown = f"{counted(len(missing), 'shard')} missing: {', '.join(missing[:_MOST_LISTED])}{more}" if missing else ""
    return unwritten(shards[0].path.parent) or shown


def target_of(shards: Sequence[Shard]) -> str:
    """What the pictures show, "character" or "line": by the index, or by how many ids the first records have; or ""."""
    if shards[0].target or not shards[0].path.is_file():  # on a server, only the index is known yet
        return shards[0].target
    first = islice((one for shard in shards for one in records(shard, with_picture=False)), _FIRST)
    counts = {len(one.label) for one in first if isinstance(one, Record)}
    return "line" if max(counts, default=0) > 1 else "character" if counts == {1} else ""


def unwritten(folder: Path) -> str:
    """What to do about records whose writing was stopped before its end; "" for whole ones, and other programs'."""
    with suppress(DataError):
        if not listed_shards(folder):
            command = "Give the same text-recognizer records command again"
            return f"{folder} is not written to its end. {command}: it goes on, and finished shards are kept."
    return ""


def records(
    shard: Shard, frames: Sequence[Frame | Damage] | None = None, with_picture: bool = True
) -> Iterator[Record | Rejected]:
    """The records of a shard, or some frames of it, in their order, and what is damaged in it.

    Args:
        with_picture: their features have more than the label and texts.
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
    """The same with the picture of each record, grey (H, W)."""
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
        raise ValueError(f"its '{shard.form.label}' are no whole numbers")
    if not text and shard.texts is not None:
        if unknown := [one for one in label if one not in shard.texts]:
            raise ValueError(f"its label has no text in the label file: {unknown[0]}")
        text = logical_order("".join(shard.texts[one] for one in label))
    name, group = _text(features, shard.form.name) or place, _text(features, shard.form.group)
    return Record(place, features, tuple(label), text, name, group)


def picture_of(record: Record, form: RecordForm) -> Grey:
    """The picture of a record, grey (H, W). Raises ValueError: it has none that can be read."""
    features = record.features
    content = _one(features, form.image, bytes, b"")
    if not content:
        raise ValueError(f"it has no picture under the key '{form.image}'")
    if _one(features, form.encoding, bytes, b"raw" if form.raw_height else b"") == b"raw":
        return _raw(features, form, content)
    try:
        return read_grey(io.BytesIO(content))
    except DataError as error:
        raise ValueError(f"its picture cannot be read: {str(error).rstrip('.')}") from None


def _raw(features: Mapping[str, list[Any]], form: RecordForm, content: bytes) -> Grey:
    channels = form.raw_channels
    height = _one(features, form.height, int, form.raw_height)
    width = _one(features, form.width, int, len(content) // max(1, height * channels))
    if height < 1 or width < 1 or math.prod((height, width, channels)) != len(content):
        raise ValueError(f"its picture of {width} x {height} pixels has {len(content)} bytes")
    if height * width > MOST_PIXELS:
        raise ValueError(f"its picture has {height * width:,} pixels")
    pixels: Grey = np.frombuffer(content, np.uint8).reshape(height, width, channels)
    # Weights of ITU-R BT.601 for blue, green and red.
    weights = np.array([0.114, 0.587, 0.299], np.float32)
    return pixels[..., 0] if channels == 1 else np.rint(pixels @ weights).astype(np.uint8)


def _text(features: Mapping[str, list[Any]], key: str) -> str:
    try:
        return str(_one(features, key, bytes, b""), "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"its '{key}' is no text in UTF-8") from None


def _one(features: Mapping[str, list[Any]], key: str, kind: type, default: Any) -> Any:
    """The one value of a feature; the default where there is no such feature."""
    values = features.get(key, []) if key else []
    if not values:
        return default
    if len(values) != 1 or type(values[0]) is not kind:
        raise ValueError(f"its '{key}' is not one value of type {kind.__name__}")
    return values[0]


def _files(path: Path, form: RecordForm | None) -> list[Path]:
    if not path.exists():
        raise DataError(f"there are no records at {path}.")
    if path.is_file():
        return [path]
    patterns = [one.file_pattern for one in ([form] if form else map(form_named, FORMS))]
    found = [
        file
        for file in sorted(path.iterdir())
        if file.is_file() and file.name.isprintable() and not file.name.startswith(".")
        if file.suffix in (".tfrecord", ".tfrecords") or any(pattern.fullmatch(file.name) for pattern in patterns)
    ]
    if not found:
        raise DataError(
            f"there are no records in {path}. Expected files like train-00000-of-00010, or with the ending .tfrecord."
        )
    return found


def _indexed(folder: Path) -> tuple[RecordForm | None, str]:
    """The form and the target of a folder's index."""
    try:
        index = parse_json_text((folder / INDEX).read_text(encoding="utf-8"))
        return form_named("default", index["form"]), str(index.get("target", ""))
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SpecError) as error:
        raise DataError(
            f"{folder / INDEX} is no index of records: {str(error).rstrip('.')}. Give the form, or remove it."
        ) from None


def _form_of(paths: Sequence[Path]) -> RecordForm:
    """The form whose picture the first sound record has."""
    without_texts = RecordForm(label="", text="", name="", group="")
    for record in (record for path in paths for record in records(Shard(path, without_texts))):
        if isinstance(record, Record):
            for form in map(form_named, FORMS):
                if form.image in record.features:
                    return form
            keys = ", ".join(sorted(record.features)) or "none"
            raise DataError(f"{record.place} has its picture under no known key. Name it with --keys. Keys: {keys}.")
    raise DataError(f"no sound record in {paths[0]}" + (" and the others." if len(paths) > 1 else "."))
