"""The ids of texts: our label files beside records, and those of other tools."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats.char_dict import read_char_dict
from text_recognizer.datasets.formats.line_lists import read_json, read_text
from text_recognizer.datasets.formats.plain_pickle import read_pickled_ids
from text_recognizer.datasets.storage.strings import storable
from text_recognizer.errors import DataError
from text_recognizer.wording import received

LABELS = "labels.json"


def labels_json(texts: Sequence[str]) -> str:
    """The content of a label file: the text of each id."""
    return json.dumps(list(texts), ensure_ascii=False, indent=0) + "\n"


def read_labels(path: Path) -> dict[str, int]:
    """The id of each text. Raises DataError: it cannot be read, or has a duplicate text or id.

    Args:
        path: a list of texts or an object {text: id} in JSON; a text file with one per line; a char_dict with its maps
            beside it, or their folder; anything else is a pickled {text: id}, from which only texts and numbers are
            read.
    """
    value: Any = read_json(path) if path.suffix == ".json" else None
    is_char_dict = isinstance(value, dict) and all(
        isinstance(one, str) and key.removesuffix("_ord").isdecimal() for key, one in value.items()
    )
    if path.is_dir() or (value and is_char_dict):
        value = list(read_char_dict(path))
    elif path.suffix != ".json":
        value = list(filter(None, read_text(path).split("\n"))) if path.suffix == ".txt" else read_pickled_ids(path)
    pairs = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        pairs = [(text, number) for number, text in enumerate(value)]
    if not pairs or not all(isinstance(text, str) and type(number) is int for text, number in pairs):
        what = "a list of texts, or an object with the id of each text, a whole number"
        raise DataError(f"{path} must hold {what}. {received(value)}")
    ids: dict[str, int] = {}
    texts: dict[int, str] = {}
    for text, number in pairs:
        if not text or text != storable(text):
            raise DataError(f"{path}: id {number} has no text in Unicode. {received(text)}")
        if text in ids:
            raise DataError(f"{path}: '{text}' occurs twice.")
        if number in texts:
            raise DataError(f"{path}: '{texts[number]}' and '{text}' have the same id, {number}.")
        ids[text], texts[number] = number, text
    return ids
