"""Checkpoints: arrays and a JSON state in one file that is whole or not there."""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import RunError

Arrays = Sequence[NDArray[Any]]


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
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(exist_ok=True)
        with open(temporary, "wb") as file:
            np.savez(file, **named)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"cannot write the checkpoint {path}: {error.strerror or error}. Free some space, then resume the run."
        ) from error


def read_checkpoint(path: Path) -> tuple[dict[str, list[NDArray[Any]]], dict[str, Any]]:
    """The groups of arrays and the state.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            state: dict[str, Any] = json.loads(file["state"].tobytes())
            groups: dict[str, list[NDArray[Any]]] = {}
            for name in file.files:
                group, _, _ = name.partition("/")
                if name != "state":
                    groups.setdefault(group, []).append(file[name])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"the checkpoint {path} cannot be read: {error}. Remove it to start the run again.") from error
    return groups, state


def sync_folder(folder: Path) -> None:
    """Makes names given in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
