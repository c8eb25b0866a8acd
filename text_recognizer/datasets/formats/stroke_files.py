"""Strokes of characters in the format of "Make Me a Hanzi": one object per line, with "character" and "medians".

A median is the centre line of a stroke from its start, as [x, y] in a square of 1024 units whose top is y = 900.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError, reason, system_errors

Points = NDArray[np.float64]  # (N, 2) x and y from the left and the top of a character's square, whose side is 1

_SQUARE, _TOP = 1024, 900
_FARTHEST = 4 * _SQUARE
_MOST_STROKES, _MOST_POINTS = 100, 1000  # real ones have at most 36 and 50
_MOST_BYTES = 1 << 20  # of a line


def read_strokes(path: Path) -> dict[str, list[Points]]:
    """The strokes of every character, in writing order.

    Raises DataError: there is no such file; a line is not such an object (with its number).
    """
    found: dict[str, list[Points]] = {}
    number = 0
    try:
        with system_errors(f"read the strokes {path}"), open(path, "rb") as file:
            while line := file.readline(_MOST_BYTES + 1):
                number += 1
                if len(line) > _MOST_BYTES:
                    raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
                if line.strip():
                    character, strokes = _read(json.loads(line))
                    found[character] = strokes
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}, line {number}: {reason(error)}. "
            'Each line is an object like {"character": "一", "medians": [[[123, 408], [885, 432]]]}.'
        ) from None
    if not found:
        raise DataError(f"{path} has no strokes of any character.")
    return found


def _read(described: object) -> tuple[str, list[Points]]:
    match described:
        case {"character": str(character), "medians": [_, *_] as medians} if character:
            pass
        case _:
            raise ValueError('it is not an object with a "character" and "medians"')
    if len(medians) > _MOST_STROKES:
        raise ValueError(f"it has {len(medians):,} strokes; at most {_MOST_STROKES} are read")
    strokes: list[Points] = []
    for median in medians:
        try:
            points = np.array(median, np.float64)
        except (TypeError, ValueError, OverflowError):
            points = np.empty(0)
        if points.ndim != 2 or points.shape[1] != 2 or not 1 <= len(points) <= _MOST_POINTS:
            raise ValueError(f"a stroke of '{character}' is not a list of 1 to {_MOST_POINTS:,} points [x, y]")
        if not (np.abs(points) <= _FARTHEST).all():  # NaN neither
            raise ValueError(f"a stroke of '{character}' leaves its square by more than {_FARTHEST:,} units")
        strokes.append(np.stack([points[:, 0], _TOP - points[:, 1]], axis=1) / _SQUARE)
    return character, strokes
