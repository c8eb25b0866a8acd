"""The ids of texts: what is written beside records, and the files of other tools."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats.char_dict import read_char_dict
from text_recognizer.datasets.formats.plain_pickle import read_pickled_ids
from text_recognizer.errors import DataError
from text_recognizer.json_text import parse_json_text

LABELS = "labels.json"


def labels_json(texts: Sequence[str]) -> str:
    """The content of a label file: the text of each id."""
    return json.dumps(list(texts), ensure_ascii=False, indent=0) + "\n"


def read_labels(path: Path) -> dict[str, int]:
    """The id of each text.

    Args:
        path: a list of texts or an object {text: id} in JSON; a text file with one a line; a folder with a char_dict;
            anything else is a pickled {text: id}, of which nothing but texts and numbers is read.
    Raises:
        DataError: it cannot be read, or two texts have one id.
    """
    if path.is_dir():
        ids = {text: index for index, text in enumerate(read_char_dict(path))}
    elif path.suffix == ".json":
        ids = _from_json(_read(path), path)
    elif path.suffix == ".txt":
        ids = _numbered([line for line in _read(path).splitlines() if line], path)
    else:
        ids = read_pickled_ids(path)
    seen: dict[int, str] = {}
    for text, number in ids.items():
        if number in seen or number < 0:
            why = f"'{seen[number]}' and '{text}' have the same id" if number in seen else f"'{text}' has a negative id"
            raise DataError(f"{path}: {why}, {number}. Every text needs an id of its own.")
        seen[number] = text
    return ids


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"cannot read the labels {path}: {reason}.") from None


def _from_json(content: str, path: Path) -> dict[str, int]:
    try:
        value: Any = parse_json_text(content)
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return _numbered(value, path)
    if isinstance(value, dict) and all(type(one) is int for one in value.values()):
        return value
    raise DataError(f"{path} must hold a list of texts, or an object with the id of each text.")


def _numbered(texts: list[str], path: Path) -> dict[str, int]:
    ids = {text: index for index, text in enumerate(texts)}
    if len(ids) != len(texts):
        twice = next(text for index, text in enumerate(texts) if ids[text] != index)
        raise DataError(f"{path}: '{twice}' stands twice.")
    return ids
