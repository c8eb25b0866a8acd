"""Converts Python values to JSON values: paths to text, NumPy numbers to Python's, classes to their paths."""

import json
import os
from collections.abc import Mapping
from typing import Any

from text_recognizer.arguments import CLASS_ALONE
from text_recognizer.errors import SpecError
from text_recognizer.wording import received


def plain(value: Any) -> Any:
    """The JSON value of a Python value. Raises SpecError: a class that another process cannot import."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type):
        return _importable(value)
    return value.tolist() if hasattr(value, "tolist") else value  # a NumPy array or number


def plain_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON. Raises SpecError: it contains something that is not a JSON value."""
    return json.dumps(plain(value), indent=indent, default=_refused)


def _refused(value: Any) -> Any:
    raise SpecError(f"a spec or sweep must hold JSON values or classes only. {received(value)} {CLASS_ALONE}")


def _importable(value: type) -> str:
    if value.__module__ == "__main__" or "<" in value.__qualname__:
        raise SpecError(
            f"{value.__name__} is defined in {value.__module__}, and a run is a separate process. "
            f"Put the class into a file, for example mine.py, and give it as 'mine:{value.__name__}'."
        )
    return f"{value.__module__}:{value.__qualname__}"
