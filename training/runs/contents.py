"""The contents of a run's folder: status, and the files of a finished run, so that losses are noticed and repaired."""

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
# Files that a run needs to resume from a checkpoint, besides its status.
NEEDED_TO_RESUME = ("spec.json", "launch.json", "environment.json")
# Every folder of a run has at least one of these.
SIGNS_OF_A_RUN = {name for needed in ("status.json", *NEEDED_TO_RESUME) for name in (needed, f".{needed}.new")}
MODEL = "model"
# A finished run keeps it, with the best weights beside it: lost files are made again by resuming the run, without any
# training, with bitwise equal results.
CHECKPOINT = Path("checkpoints", "last.npz")
# Made when the training is finished; all can be made again from the checkpoints.
_MADE_LAST = ("evaluation.json", "predictions.jsonl", "report.html")


def snapshot_of(folder: Path, epoch: int) -> Path:
    """The bundle of a run's weights at the end of an epoch, from which other runs may start."""
    return folder / "snapshots" / f"epoch-{epoch:06d}"


def is_made(folder: Path) -> bool:
    """Whether a folder contains a complete run: neither interrupted at its creation nor emptied by a power cut."""
    return not is_blank(folder / "status.json") and not is_blank(folder / "spec.json")


def read_status(folder: Path) -> dict[str, Any]:
    """The content of a run's status.json. If a power cut has emptied it, the run was active, and no longer is.

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
    """Whether a run was started in a folder, regardless of what is left of it."""
    try:
        return not SIGNS_OF_A_RUN.isdisjoint(os.listdir(folder))  # noqa: PTH208 - only names
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a folder without permission is reported, not skipped


@contextlib.contextmanager
def readable(folder: Path, name: str, kind: str = "a run folder") -> Iterator[Path]:
    """The path of a file to read; errors in the block are damage. Raises RunError: it is missing or damaged."""
    path = folder / name
    try:
        yield path
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} is not {kind}: it has no {name}.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {reason(error, path)}.") from None


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of each required file of a finished run, by its path in the run's folder."""
    paths = [*sorted(path for path in (folder / MODEL).rglob("*") if path.is_file()), *map(folder.joinpath, _MADE_LAST)]
    return {
        path.relative_to(folder).as_posix(): {"size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in paths
    }


def lost_files(folder: Path, hashes: bool = False) -> list[str]:
    """Missing or changed files of a finished run, as text. Raises RunError: no run, or its status is damaged.

    For a run by an earlier version, which recorded nothing, only files emptied by a power cut.

    Args:
        hashes: also read the files; sizes are enough to detect power cuts.
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
        if not path.resolve().is_relative_to(folder.resolve()):  # a folder from elsewhere may have any content
            return "outside the run's folder"
        if not path.is_file():
            return "missing"
        if path.stat().st_size != size:
            return f"{path.stat().st_size} bytes instead of {size}"
        return "changed" if hashes and sha256_of(path) != sha256 else None
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
