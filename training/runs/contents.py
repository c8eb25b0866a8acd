"""What a finished run must hold: noted in status.json as it finishes, so that a loss is noticed and made good."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.runs.run import read_status

MODEL = "model"
# The checkpoint to go on from. A finished run keeps it, with the best weights beside it: what was lost of the run is
# made again by resuming it, without a single step of training, and its numbers are the same bit for bit.
CHECKPOINT = Path("checkpoints", "last.npz")
# What a run makes when its training is over; all of it can be made again from the checkpoints.
_MADE_LAST = ("evaluation.json", "predictions.jsonl", "report.html")


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of each file that a finished run must hold, by its path in the run's folder."""
    paths = [*sorted(path for path in (folder / MODEL).rglob("*") if path.is_file()), *map(folder.joinpath, _MADE_LAST)]
    return {
        path.relative_to(folder).as_posix(): {"size_bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in paths
    }


def lost_files(folder: Path, hashes: bool = False) -> list[str]:
    """What a finished run does not hold any more, in words: files that are missing, or not as they were written.

    Of a run that noted nothing, since an earlier version made it, only what a power cut emptied.

    Args:
        hashes: read the files too; sizes alone tell what a power cut did.
    Raises:
        RunError: the folder is no run's, or its status is damaged.
    """
    noted = read_status(folder).get("files")
    if not isinstance(noted, dict):
        return [f"{name} (empty)" for name in _names(folder) if (folder / name).stat().st_size == 0]
    return [f"{name} ({fault})" for name, facts in noted.items() if (fault := _fault(folder, name, facts, hashes))]


def has_checkpoint(folder: Path) -> bool:
    return (folder / CHECKPOINT).exists()


def _names(folder: Path) -> Iterator[str]:
    for path in (*(folder / MODEL).glob("*"), *map(folder.joinpath, _MADE_LAST)):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


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
        return "changed" if hashes and _sha256(path) != sha256 else None
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
