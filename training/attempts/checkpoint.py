"""Checkpoints: arrays and a JSON state in one file, written atomically."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import RunError, reason
from text_recognizer.whole_files import replace_file, sync
from text_recognizer.wording import received
from training.files.json_objects import is_finite
from training.files.safe_files import cannot_write
from training.runs.checks import is_count
from training.runs.contents import CHECKPOINT

Arrays = Sequence[NDArray[Any]]
Checkpoint = tuple[dict[str, list[NDArray[Any]]], dict[str, Any]]  # groups of arrays, and the state


def _holds(**kinds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is null, or an object with values of these kinds."""
    return lambda value: (
        value is None
        or (isinstance(value, dict) and all(name in value and is_kind(value[name]) for name, is_kind in kinds.items()))
    )


def _is_result(value: Any) -> bool:
    return value is None or is_finite(value)


def _is_time(value: Any) -> bool:
    return is_finite(value) and value >= 0


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "digest": lambda value: isinstance(value, str),
    "ended": lambda value: isinstance(value, str | None),
    "step": is_count,
    "seconds_trained": _is_time,
    "epochs": _holds(done=is_count, first_step=is_count, began_s=_is_time),
    "best": lambda value: value is not None and _holds(epoch=is_count, value=_is_result)(value),
    "early_stop": _holds(best=_is_result, waited=is_count),
    "plateau": _holds(best=_is_result, waited=is_count),
}


def write_checkpoint(path: Path, groups: Mapping[str, Arrays], state: Mapping[str, Any]) -> None:
    """Replaces a checkpoint atomically and durably. Raises RunError: it cannot be written; the previous one stays.

    Args:
        groups: named lists of arrays.
        state: plain JSON.
    """
    named = {f"{group}/{index}": array for group, arrays in groups.items() for index, array in enumerate(arrays)}
    named["state"] = np.frombuffer(json.dumps(state).encode(), dtype=np.uint8)
    try:
        if not path.parent.exists():
            path.parent.mkdir()
            sync(path.parent.parent)
        replace_file(path, lambda file: np.savez(file, **named))  # type: ignore[arg-type]
    except OSError as error:
        raise cannot_write(path, error, "resume the run") from error


def read_checkpoint(path: Path, needed: Collection[str] = ()) -> Checkpoint:
    """The groups of arrays and the state. Raises RunError: it is missing or damaged.

    Args:
        needed: required keys of the state.
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
        for name, is_kind in _KINDS.items():
            if name in state and not is_kind(state[name]):
                raise ValueError(f"its state has an impossible '{name}'. {received(state[name])}")
    except Exception as error:  # NumPy and its zip readers raise errors of any kind
        raise RunError(
            f"the checkpoint {path} cannot be read: {reason(error, path)}. "
            f"To train the run again from its start, remove the folder {path.parent}."
        ) from error
    return groups, state


def write_last(folder: Path, groups: Mapping[str, Arrays], state: Mapping[str, Any], best: Arrays | None) -> None:
    """Writes the weights of the best epoch, removing older ones, then the state to resume from."""
    epoch = state["best"]["epoch"]
    path = _best(folder, epoch)
    if best is not None and not path.exists():
        write_checkpoint(path, {"weights": best}, {"epoch": epoch})
    write_checkpoint(folder / CHECKPOINT.name, groups, state)
    for older in folder.glob("best-*.npz"):
        if older != path:
            older.unlink()


def read_last(folder: Path, needed: Collection[str], digests: Collection[str]) -> Checkpoint | None:
    """Reads what `write_last` wrote for a spec with one of these digests; None if it has not yet."""
    path = folder / CHECKPOINT.name
    if not path.exists():
        return None
    groups, state = read_checkpoint(path, needed)
    if state["digest"] not in digests:
        raise RunError(f"the checkpoint {path} is of another spec. Start a new run for a changed spec.")
    return groups, state


def epochs_trained(folder: Path) -> int:
    """The epochs that are done in the last checkpoint, 0 without one. Raises RunError: it is damaged."""
    path = folder / CHECKPOINT.name
    epochs = read_checkpoint(path)[1].get("epochs") if path.exists() else None
    return epochs["done"] if epochs else 0


def read_best(folder: Path, epoch: int) -> list[NDArray[Any]]:
    return read_checkpoint(_best(folder, epoch), ("epoch",))[0]["weights"]


def _best(folder: Path, epoch: int) -> Path:
    return folder / f"best-{epoch:06d}.npz"


def assign(variables: Sequence[Any], values: Arrays, path: Path) -> None:
    """Assigns arrays of the checkpoint `path` to Keras variables. Raises RunError: the shapes differ."""
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise RunError(f"the checkpoint {path} does not fit the network: its code has changed since. Start a new run.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
