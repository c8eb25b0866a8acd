"""char_dict.json and its ord maps: the charset files of CRNN recognisers from the TensorFlow 1 years, in both forms.

"maps"     char_dict.json {"<ord>": char}, ord_2_index_map.json {"<ord>": "<id>"},
           index_2_ord_map.json {"<id>": "<ord>"}
"ord_map"  char_dict.json {"<ord>_ord": char}, ord_map.json {"<id>_index": "<ord>", "<ord>_ord": "<id>"}

All keys and values are strings; ids count from 0, without the blank, which comes after the last.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from text_recognizer.datasets.formats.line_lists import read_json
from text_recognizer.errors import DataError

Form = Literal["maps", "ord_map"]


def read_char_dict(path: Path) -> tuple[str, ...]:
    """The characters in the order of their ids. Raises DataError: files are missing, damaged or inconsistent.

    Args:
        path: a char_dict file with its maps beside it; or its folder.
    """
    file = _one_file(path, "char_dict*.json") if path.is_dir() else path
    known = _codes(_read(file), file)
    folder = file.parent
    if list(folder.glob("ord_map*.json")):
        map_file = _one_file(folder, "ord_map*.json")
        entries = _read(map_file)
        ids = {code.removesuffix("_ord"): index for code, index in entries.items() if code.endswith("_ord")}
        codes = {index.removesuffix("_index"): code for index, code in entries.items() if index.endswith("_index")}
    else:
        map_file = _one_file(folder, "ord_2_index_map*.json")
        ids, codes = _read(map_file), _read(_one_file(folder, "index_2_ord_map*.json"))
    return _in_order(ids, codes, known, map_file)


def write_char_dict(folder: Path, characters: Sequence[str], form: Form = "maps") -> None:
    """Writes the files of one form. Raises DataError: a character is not one code point, which no form supports."""
    for character in characters:
        if len(character) != 1:
            raise DataError(f"a char_dict holds single code points only. Received: '{character}'.")
    codes = {str(ord(character)): character for character in characters}
    ids = {code: str(index) for index, code in enumerate(codes)}
    files: dict[str, dict[str, str]]
    if form == "maps":
        by_id = {index: code for code, index in ids.items()}
        files = {"char_dict.json": codes, "ord_2_index_map.json": ids, "index_2_ord_map.json": by_id}
    else:
        by_id = {f"{index}_index": code for code, index in ids.items()}
        files = {
            "char_dict.json": {f"{code}_ord": character for code, character in codes.items()},
            "ord_map.json": by_id | {f"{code}_ord": index for code, index in ids.items()},
        }
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def characters_of_char_dict(value: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """The characters of a char_dict without maps, by code point."""
    known = _codes(value, file)
    return tuple(known[code] for code in sorted(known, key=int))


def _in_order(
    ids: Mapping[str, str], codes: Mapping[str, str], known: Mapping[str, str], file: Path
) -> tuple[str, ...]:
    ordered = [codes.get(str(index), "none") for index in range(len(codes))]
    for index, code in enumerate(ordered):
        if code not in known or ids.get(code) != str(index):
            raise DataError(
                f"{file}: ids count from 0 without gaps, and each is that of one character of the char_dict. Received: "
                f"id {index} is code point {code}, whose id is {ids.get(code)} and whose character {known.get(code)!r}."
            )
    return tuple(known[code] for code in ordered)


def _codes(value: Mapping[str, Any], file: Path) -> dict[str, str]:
    found = {}
    for key, character in value.items():
        code = key.removesuffix("_ord")
        if not isinstance(character, str) or len(character) != 1 or code != str(ord(character)):
            raise DataError(
                f"{file} is not a char_dict: key '{key}' holds {character!r}, expected the code point's text."
            )
        found[code] = character
    return found


def _one_file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{folder} must have one file {pattern}. It has: {listed}.")
    return found[0]


def _read(file: Path) -> dict[str, str]:
    value = read_json(file)
    if not isinstance(value, dict) or not all(isinstance(one, (str, int)) for one in value.values()):
        raise DataError(f"{file} must hold an object with texts.")
    return {key: str(one) for key, one in value.items()}
