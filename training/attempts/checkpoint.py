"""Checkpoints: arrays and a JSON state in one file that is whole or not there."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import RunError
from text_recognizer.whole_files import replace_file, sync

Arrays = Sequence[NDArray[Any]]
Checkpoint = tuple[dict[str, list[NDArray[Any]]], dict[str, Any]]  # groups of arrays, and the state


def write_checkpoint(path: Path, groups: Mapping[str, Arrays], state: Mapping[str, Any]) -> None:
    """Replaces a checkpoint atomically; it is on the disk when this returns.

    Args:
        groups: named lists of arrays.
        state: plain JSON.
    Raises:
        RunError: it cannot be written; the earlier one is still there.
    """
    named = {f"{group}/{index}": array for group, arrays in groups.items() for index, array in enumerate(arrays)}
    named["state"] = np.frombuffer(json.dumps(state).encode(), dtype=np.uint8)
    try:
        if not path.parent.exists():
            path.parent.mkdir()
            sync(path.parent.parent)
        replace_file(path, lambda file: np.savez(file, **named))  # type: ignore[arg-type]
    except OSError as error:
        raise RunError(
            f"cannot write the checkpoint {path}: {error.strerror or error}. Free some space, then resume the run."
        ) from error


def read_checkpoint(path: Path, needed: Collection[str] = ()) -> Checkpoint:
    """The groups of arrays and the state.

    Args:
        needed: keys that the state must have.
    Raises:
        RunError: it is missing or damaged.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            state: dict[str, Any] = json.loads(file["state"].tobytes())
            groups: dict[str, list[NDArray[Any]]] = {}
            for name in file.files:
                group, _, _ = name.partition("/")
                if name != "state":
                    groups.setdefault(group, []).append(file[name])
        lacking = sorted(set(needed) - state.keys())
        if lacking:
            raise ValueError(f"its state has no {', '.join(lacking)}")
    except Exception as error:  # NumPy and its readers of zip files let through whatever they meet
        reason = (isinstance(error, OSError) and error.strerror) or error or type(error).__name__
        raise RunError(
            f"the checkpoint {path} cannot be read: {reason}. "
            f"To train the run again from its start, remove the folder {path.parent}."
        ) from error
    return groups, state


def assign(variables: Sequence[Any], values: Arrays, path: Path) -> None:
    """Sets variables of Keras to a group of arrays from the checkpoint `path`.

    Raises:
        RunError: they have other shapes.
    """
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise RunError(f"the checkpoint {path} does not fit the network: its code has changed since. Start a new run.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
