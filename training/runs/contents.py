"""What a run's folder holds: its status, and the files of a finished run, so that a loss is noticed and repaired."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, reason
from text_recognizer.whole_files import sha256_of
from training.files.json_objects import parse_object, read_regular
from training.files.safe_files import is_blank, is_empty
from training.runs.checks import status_fault

FORMAT = 1
# What a run needs to resume from a checkpoint, besides its status.
NEEDED_TO_RESUME = ("spec.json", "launch.json", "environment.json")
# One of these is in every folder that a run was begun in.
SIGNS_OF_A_RUN = {name for needed in ("status.json", *NEEDED_TO_RESUME) for name in (needed, f".{needed}.new")}
MODEL = "model"
# A finished run keeps it, with the best weights beside it: what was lost of the run is made again by resuming it,
# without a single step of training, and its numbers are the same bit for bit.
CHECKPOINT = Path("checkpoints", "last.npz")
# Made when the training is over; all of it can be made again from the checkpoints.
_MADE_LAST = ("evaluation.json", "predictions.jsonl", "report.html")


def snapshot_of(folder: Path, epoch: int) -> Path:
    """The bundle of a run's weights as they were at the end of an epoch, for other runs to begin with."""
    return folder / "snapshots" / f"epoch-{epoch:06d}"


def is_made(folder: Path) -> bool:
    """Whether a folder holds a run: one whose making was not interrupted, with files that a power cut left whole."""
    return not is_blank(folder / "status.json") and not is_blank(folder / "spec.json")


def read_status(folder: Path) -> dict[str, Any]:
    """The content of a run's status.json. A power cut can leave it empty: then the run was at work, and no longer is.

    Raises:
        RunError: there is none, it is damaged, or of a newer version.
    """
    with readable(folder, "status.json") as path:
        content = read_regular(path)
        if is_empty(content):
            return {"format": FORMAT, "state": "running", "times": {"created": path.stat().st_mtime}}
        value = parse_object(content)
    version = value.get("format", 0)
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"the run {folder} has format {version}; this version reads up to {FORMAT}. "
            "Upgrade to the version that wrote it."
        )
    fault = status_fault(value)
    if fault is not None:
        raise RunError(f"{path} is not the status of a run: {fault}")
    return {"times": {}, **value}


def was_begun(folder: Path) -> bool:
    """Whether a run was begun in a folder, whatever is left of it."""
    try:
        return not SIGNS_OF_A_RUN.isdisjoint(os.listdir(folder))  # noqa: PTH208 - only names
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a folder without permission is reported, not passed over


@contextlib.contextmanager
def readable(folder: Path, name: str, kind: str = "a run folder") -> Iterator[Path]:
    """The path of a file to read; errors meanwhile are damage. Raises RunError: it is missing or damaged."""
    path = folder / name
    try:
        yield path
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} is not {kind}: it has no {name}.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {reason(error, path)}.") from None


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of each file that a finished run must hold, by its path in the run's folder."""
    paths = [*sorted(path for path in (folder / MODEL).rglob("*") if path.is_file()), *map(folder.joinpath, _MADE_LAST)]
    return {
        path.relative_to(folder).as_posix(): {"size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in paths
    }


def lost_files(folder: Path, hashes: bool = False) -> list[str]:
    """Files of a finished run that are missing or changed, as text. Raises RunError: no run, or its status is damaged.

    Of a run by an earlier version, which recorded nothing, only what a power cut emptied.

    Args:
        hashes: read the files too; sizes alone tell what a power cut did.
    """
    noted = read_status(folder).get("files")
    if not isinstance(noted, dict):
        paths = (*(folder / MODEL).glob("*"), *map(folder.joinpath, _MADE_LAST))
        empty = [path for path in paths if path.is_file() and path.stat().st_size == 0]
        return [f"{path.relative_to(folder).as_posix()} (empty)" for path in empty]
    return [f"{name} ({fault})" for name, facts in noted.items() if (fault := _fault(folder, name, facts, hashes))]


def _fault(folder: Path, name: str, facts: Any, hashes: bool) -> str | None:
    path = folder / name
    size, sha256 = (facts.get(key) if isinstance(facts, dict) else None for key in ("size_bytes", "sha256"))
    try:
        if not path.resolve().is_relative_to(folder.resolve()):  # a folder from elsewhere may say anything
            return "outside the run's folder"
        if not path.is_file():
            return "missing"
        if path.stat().st_size != size:
            return f"{path.stat().st_size} bytes instead of {size}"
        return "changed" if hashes and sha256_of(path) != sha256 else None
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
