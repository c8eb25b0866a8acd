"""Charsets in files: our JSON, a bundle's, the maps of older recognisers, one character a line."""

import os
from pathlib import Path
from typing import Any

from text_recognizer.charset import Characters, Charset, Normalization
from text_recognizer.datasets.formats.char_dict import characters_of_char_dict, read_char_dict
from text_recognizer.datasets.formats.line_lists import read_json, read_text
from text_recognizer.errors import DataError, TextRecognizerError
from text_recognizer.settings import given_path, weights_folder


def read_charset(given: Characters, normalization: Normalization, label: str) -> Charset:
    """A charset from what a spec says. Raises DataError: no such file, or no charset that can be used in it.

    Args:
        given: a list of characters; or the path of a bundle or its bundle.json, of a JSON file with "characters", of a
            char_dict*.json with its ord map beside it, or of a text file with one character a line; or the name of a
            bundle that comes with the program.
    """
    try:
        characters = given if isinstance(given, list) else read_characters(given_path(given))
        return Charset(characters, normalization)
    except TextRecognizerError as error:
        raise DataError(f"{label}: charset: {error}") from None


def read_characters(path: Path) -> list[str]:
    """The characters in a file or bundle, by id. Raises DataError: no such file, or no charset in it."""
    place = path if os.path.exists(path) else weights_folder() / path  # noqa: PTH110 - any name
    inside = [place / "bundle.json", place / "model" / "bundle.json"] if os.path.isdir(place) else [place]  # noqa: PTH112
    file = next((one for one in inside if os.path.exists(one)), inside[0])  # noqa: PTH110 - any name
    if not os.path.exists(file):  # noqa: PTH110 - any name
        raise DataError(
            f'there is no file \'{path}\'. A charset is a list of characters, like ["a", "b"], the name of a '
            f'bundle or run, or the path of a file: a bundle, a JSON file with "characters", a char_dict.json, or one '
            f"character a line."
        )
    if file.suffix.lower() == ".json":
        return _characters_in(read_json(file), file)
    lines = read_text(file).replace("\r\n", "\n").split("\n")
    for number, character in enumerate(lines, start=1):
        if len(character) > 8:
            raise DataError(f"{file}, line {number}: expected one character a line. Received: '{character[:40]}'.")
    return [line for line in lines if line]  # a line with a space alone is the space


def _characters_in(value: Any, file: Path) -> list[str]:
    if isinstance(value, dict) and "characters" in value:
        value = value["characters"]
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and isinstance(value.get("data_spec"), dict):
        return _characters_of_bundle(value["data_spec"], file)
    if isinstance(value, dict) and value:
        has_map = any(file.parent.glob("ord*map*.json"))
        return list(read_char_dict(file) if has_map else characters_of_char_dict(value, file))
    raise DataError(f'{file} holds no charset: expected a list of characters, or an object with "characters".')


def _characters_of_bundle(data_spec: dict[str, Any], file: Path) -> list[str]:
    classes, target = data_spec.get("classes", []), data_spec.get("target", "character")
    if not isinstance(classes, list):
        raise DataError(f"{file} is a damaged bundle: its classes are not a list.")
    if target == "pixels":
        raise DataError(
            f"{file} is the bundle of a model of pages, which has no charset. Give one of lines or characters."
        )
    return classes if target == "character" else list(Charset.from_classes(classes).characters)
