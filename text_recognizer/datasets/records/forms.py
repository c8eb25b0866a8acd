"""The forms of records: how files are named, and under which key an Example has what."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from text_recognizer.datasets.base import SplitName
from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean, received

ENCODINGS = ("png", "jpeg", "raw")
SPLITS: dict[str, SplitName] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class RecordForm:
    """Keys of the features, "" for what an Example does not have, and what else readers expect.

    Args:
        files: how shards are named; of split, shard, shards and the positions begin and end of its samples.
        image: the picture, as a file or as raw pixels.
        label: ids: one of a character, one for each character of a line from its left end.
        text: what the picture shows, in UTF-8.
        name, group: of the sample; of its writer or font.
        encoding, height, width: of a picture; without them, raw pixels are `raw_height` rows of `raw_channels` values.
        size: (width, height) that readers expect; pictures are squashed to it.
        default_encoding: of new records.
    """

    files: str = "{split}-{shard:05d}-of-{shards:05d}"
    image: str = "image"
    label: str = "label"
    text: str = "text"
    name: str = "name"
    group: str = "group"
    encoding: str = "encoding"
    height: str = "height"
    width: str = "width"
    raw_height: int = 0
    raw_channels: int = 1
    size: tuple[int, int] | None = None
    default_encoding: str = "png"

    @cached_property
    def file_pattern(self) -> re.Pattern[str]:
        """What names of shards are like; its groups are the fields of `files`."""
        parts = re.split(r"\{(\w+)[^}]*\}", self.files)
        groups = {"split": "[a-z]+"}
        pattern = [
            f"(?P<{part}>{groups.get(part, '[0-9]+')})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        ]
        return re.compile("".join(pattern))


FORMS = {
    "default": RecordForm(),
    # Recognisers of CASIA HWDB after TensorFlow's Inception example.
    "inception": RecordForm(
        image="encoded", name="", group="", encoding="", height="", width="", default_encoding="jpeg"
    ),
    # CRNN recognisers of the TensorFlow 1 years; pixels are blue, green, red.
    "crnn": RecordForm(
        files="{split}_feature_{begin}_{end}.tfrecords",
        image="images",
        label="labels",
        text="",
        name="imagenames",
        group="",
        encoding="",
        height="",
        width="",
        raw_height=32,
        raw_channels=3,
        size=(100, 32),
        default_encoding="raw",
    ),
}
_TYPES: dict[str, type] = {"raw_height": int, "raw_channels": int, "size": list}


def form_named(name: str, changes: Mapping[str, Any] | None = None) -> RecordForm:
    """A form of the table, with some of its entries changed.

    Raises:
        SpecError: there is no such form or entry, or a value is of another type.
    """
    if name not in FORMS:
        raise SpecError(f"there is no form '{name}' of records.{did_you_mean(name, FORMS)} Known: {', '.join(FORMS)}.")
    known = [field.name for field in fields(RecordForm)]
    for key, value in (changes or {}).items():
        if key not in known:
            raise SpecError(f"records have no key '{key}'.{did_you_mean(key, known)} Known: {', '.join(known)}.")
        expected = _TYPES.get(key, str)
        if type(value) is not expected or (key == "size" and not _is_size(value)):
            shown = "[width, height]" if key == "size" else {int: "a whole number", str: "a text"}[expected]
            raise SpecError(f"key '{key}' of records must be {shown}. {received(value)}")
    changed: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in (changes or {}).items()
    }
    form = replace(FORMS[name], **changed)
    _check(form)
    return form


def form_from_json(value: Mapping[str, Any]) -> RecordForm:
    """The form that an index holds; raises SpecError where it is none."""
    return form_named("default", {key: one for key, one in value.items() if key != "size" or one is not None})


def form_as_json(form: RecordForm) -> dict[str, Any]:
    return asdict(form)


def _check(form: RecordForm) -> None:
    try:
        name = form.files.format(split="train", shard=0, shards=1, begin=0, end=1)
        matched = form.file_pattern.fullmatch(name)
        changing = {"shard", "begin", "end"} & set(form.file_pattern.groupindex)
    except (KeyError, ValueError, IndexError, re.error):
        matched, changing, name = None, set(), "/"
    if not matched or not changing or "split" not in form.file_pattern.groupindex or "/" in name:
        raise SpecError(
            "key 'files' of records must be the name of a shard with {split}, and {shard} or {begin}: "
            f"for example {RecordForm.files}. {received(form.files)}"
        )
    if not form.image or form.default_encoding not in ENCODINGS:
        raise SpecError(f"records need a key 'image', and a default_encoding of {', '.join(ENCODINGS)}.")
    if form.raw_height < 0 or form.raw_channels not in (1, 3):
        raise SpecError("raw_height of records must be 0 or more, raw_channels 1 or 3.")


def _is_size(value: Any) -> bool:
    return len(value) == 2 and all(type(one) is int and 1 <= one <= 4096 for one in value)
