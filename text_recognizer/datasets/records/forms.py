"""The forms of records: names of files, and keys of an Example's features."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le

from text_recognizer.arguments import check_arguments
from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean, received

Encoding = Literal["png", "jpeg", "raw"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
SidePx = Annotated[int, Ge(1), Le(4096)]

_KEYS = ("image", "label", "text", "name", "group", "encoding", "height", "width")
_FIELD = re.compile(r"\{(split|shard|shards|begin|end)(?::0[1-9]d)?\}")


@dataclass(frozen=True)
class RecordForm:
    """Keys of the features, "" for features that an Example does not have, and further expectations of readers.

    Args:
        files: pattern of shard names, with split, shard, shards and the positions begin and end of its samples.
        image: the image, as a file or as raw pixels.
        label: ids: one for a character, one for each character of a line from its left end.
        text: the text of the image, in UTF-8.
        name, group: name of the sample; its writer or font.
        encoding, height, width: of an image; without them, raw pixels are `raw_height` rows of `raw_channels` values.
        size: (width, height) that readers expect; images are stretched to it.
        default_encoding: encoding of new records.
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
    raw_height: Annotated[int, Ge(0)] = 0
    raw_channels: Literal[1, 3] = 1
    size: tuple[SidePx, SidePx] | None = None
    default_encoding: Encoding = "png"

    @cached_property
    def file_pattern(self) -> re.Pattern[str]:
        """Pattern of shard names; its groups are the fields of `files`."""
        parts = _FIELD.split(self.files)
        groups = [f"(?P<{field}>{'[a-z]+' if field == 'split' else '[0-9]+'})" for field in parts[1::2]]
        return re.compile("".join(a + b for a, b in zip(map(re.escape, parts[::2]), [*groups, ""], strict=True)))


_NOTHING_ELSE = {"group": "", "encoding": "", "height": "", "width": ""}
FORMS: dict[str, dict[str, Any]] = {
    "default": {},
    # Recognisers of CASIA HWDB after TensorFlow's Inception example.
    "inception": {"image": "encoded", "name": "", "default_encoding": "jpeg", **_NOTHING_ELSE},
    # CRNN recognisers from the TensorFlow 1 years; pixels are blue, green, red.
    "crnn": {
        "files": "{split}_feature_{begin}_{end}.tfrecords",
        "image": "images",
        "label": "labels",
        "text": "",
        "name": "imagenames",
        "raw_height": 32,
        "raw_channels": 3,
        "size": [100, 32],
        "default_encoding": "raw",
        **_NOTHING_ELSE,
    },
}


def form_named(name: str, changes: Mapping[str, Any] | None = None) -> RecordForm:
    """A form of the table with changes. Raises SpecError: no such form or entry, or an invalid value."""
    if name not in FORMS:
        raise SpecError(f"there is no form '{name}' of records.{did_you_mean(name, FORMS)} Known: {', '.join(FORMS)}.")
    arguments, problems = check_arguments("a form of records", RecordForm, {**FORMS[name], **(changes or {})})
    if problems:
        raise SpecError(problems)
    form = RecordForm(**arguments)
    fields = _FIELD.findall(form.files)
    if (
        not re.fullmatch(r"[\w.-]+", _FIELD.sub("0", form.files))
        or "split" not in fields
        or not {"shard", "begin"} & set(fields)
        or len(set(fields)) < len(fields)
    ):
        raise SpecError(
            "'files' of a form of records must be the name of a shard with {split}, and {shard} or {begin}: "
            f"for example {RecordForm.files}. {received(form.files)}"
        )
    keys = [one for one in (getattr(form, name) for name in _KEYS) if one]
    if not form.image or len(set(keys)) < len(keys):
        raise SpecError(f"a form of records needs a key for 'image', and no key twice. {received(', '.join(keys))}")
    return form
