"""A folder of shards: existing and missing shards, and their form."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from text_recognizer.arguments import to_json
from text_recognizer.datasets.formats.line_lists import SPLITS
from text_recognizer.datasets.records.forms import FORMS, RecordForm, form_named
from text_recognizer.datasets.records.label_files import LABELS, read_labels
from text_recognizer.datasets.records.reading import Record, Shard, records
from text_recognizer.errors import DataError, SpecError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.wording import counted

INDEX = "index.json"
_MOST_SHARD_DIGITS = 5
_MOST_LISTED = 20


def open_shards(
    path: Path,
    form: str | None = None,
    keys: Mapping[str, Any] | None = None,
    labels: Path | None = None,
    whole: bool = False,
) -> list[Shard]:
    """The shards of a folder, or one shard. Raises DataError: there are none, or their kind cannot be determined.

    Args:
        form: form in the table; by default that of the folder's index, or the one whose image the first record has.
        keys: keys that differ from the form's.
        labels: see `label_files.read_labels`; by default labels.json in the folder.
        whole: refuse a folder with missing shards.
    """
    folder = path if path.is_dir() else path.parent
    found, target = (form_named(form, keys), "") if form else _indexed(folder)
    if found and keys and not form:
        found, target = form_named("default", {**to_json(found), **keys}), ""
    paths = _files(path, [found] if found else _forms(keys))
    if found is None or form:  # also a named one: with another form's keys, every record would be left out
        found = _form_of(paths, [found] if found else _forms(keys))
    if labels is None and (folder / LABELS).is_file():
        labels = folder / LABELS
    texts = {number: text for text, number in read_labels(labels).items()} if labels is not None else None
    splits = {file: found.file_pattern.fullmatch(file.name) for file in paths}
    shards = [
        Shard(file, found, SPLITS.get(match["split"]) if match else None, texts, target)
        for file, match in splits.items()
    ]
    if whole and path.is_dir() and (lack := lacking(shards)):
        raise DataError(f"{lack.rstrip('.')}. To read a single shard, give its own path.")
    return shards


class ListedShard(NamedTuple):
    """A shard in an index; indexes of earlier versions have no hash."""

    size_bytes: int
    examples: int
    sha256: str | None


def listed_shards(folder: Path) -> dict[str, ListedShard]:
    """The shards in the index of a folder; none if it is not finished.

    Raises:
        DataError: the index is damaged, or names something that is not a shard.
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
        raise DataError(f"{INDEX} is not an index of records: {type(error).__name__}: {reason(error)}.") from None
    for name, about in found.items():
        if form is None or form.file_pattern.fullmatch(name) is None:
            raise DataError(f"{INDEX} names {name[:80]!a}, which is not the name of a shard.")
        if about.sha256 is not None and re.fullmatch("[0-9a-f]{64}", str(about.sha256)) is None:
            raise DataError(f"{INDEX} gives {name} a sha256 that is not 64 hexadecimal digits.")
    return found


def missing_shards(shards: Sequence[Shard]) -> list[str]:
    """Names of missing shards, from the index or from the names of the others."""
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
    """A sentence about what is missing from a folder of records; "" if nothing is."""
    missing = missing_shards(shards)
    more = ", …" if len(missing) > _MOST_LISTED else ""
    shown = f"{counted(len(missing), 'shard')} missing: {', '.join(missing[:_MOST_LISTED])}{more}" if missing else ""
    return unwritten(shards[0].path.parent) or shown


def unwritten(folder: Path) -> str:
    """What to do about records whose writing was interrupted; "" for complete ones, and those of other programs."""
    with suppress(DataError):
        if not listed_shards(folder):
            command = "Give the same text-recognizer records command again"
            return f"{folder} is incomplete. {command}: it continues, and finished shards are kept."
    return ""


def _forms(keys: Mapping[str, Any] | None) -> list[RecordForm]:
    """The default form, and other forms that allow these keys. Raises SpecError: not even the default allows them."""
    found = [form_named("default", keys)]
    for name in FORMS:
        with suppress(SpecError):
            found.append(form_named(name, keys))
    return found


def _files(path: Path, forms: Sequence[RecordForm]) -> list[Path]:
    if not path.exists():
        raise DataError(f"there are no records at {path}.")
    if path.is_file():
        return [path]
    found = [
        file
        for file in sorted(path.iterdir())
        if file.is_file() and file.name.isprintable() and not file.name.startswith(".")
        if file.suffix in (".tfrecord", ".tfrecords") or any(form.file_pattern.fullmatch(file.name) for form in forms)
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
            f"{folder / INDEX} is not an index of records: {reason(error)}. Give the form, or remove it."
        ) from None


def _form_of(paths: Sequence[Path], forms: Sequence[RecordForm]) -> RecordForm:
    """The first form whose image the first valid record has."""
    without_texts = RecordForm(label="", text="", name="", group="")
    for record in (record for path in paths for record in records(Shard(path, without_texts))):
        if isinstance(record, Record):
            for form in forms:
                if form.image in record.features:
                    return form
            keys = ", ".join(sorted(record.features)) or "none"
            known = ", ".join(dict.fromkeys(form.image for form in forms))
            raise DataError(f"{record.place} has no image under {known}. Name its key with --keys. Keys: {keys}.")
    raise DataError(f"no sound record in {paths[0]}" + (" and the others." if len(paths) > 1 else "."))
