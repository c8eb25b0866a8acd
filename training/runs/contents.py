"""What a finished run must hold: recorded in status.json as it finishes, so that a loss is noticed and repaired."""

from pathlib import Path
from typing import Any

from text_recognizer.whole_files import sha256_of
from training.runs.run import read_status

MODEL = "model"
# A finished run keeps it, with the best weights beside it: what was lost of the run is made again by resuming it,
# without a single step of training, and its numbers are the same bit for bit.
CHECKPOINT = Path("checkpoints", "last.npz")
# Made when the training is over; all of it can be made again from the checkpoints.
_MADE_LAST = ("evaluation.json", "predictions.jsonl", "report.html")


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of each file that a finished run must hold, by its path in the run's folder."""
    paths = [*sorted(path for path in (folder / MODEL).rglob("*") if path.is_file()), *map(folder.joinpath, _MADE_LAST)]
    return {
        path.relative_to(folder).as_posix(): {"size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in paths
    }


def lost_files(folder: Path, hashes: bool = False) -> list[str]:
    """Files that a finished run has lost, in words: missing, or not as they were written.

    Of a run by an earlier version, which recorded nothing, only what a power cut emptied.

    Args:
        hashes: read the files too; sizes alone tell what a power cut did.
    Raises:
        RunError: the folder is no run's, or its status is damaged.
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
