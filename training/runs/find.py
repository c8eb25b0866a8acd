"""A run by whatever names it: its folder, its id, the start of its id, or "last"."""

import os
from pathlib import Path

from text_recognizer.errors import RunError
from text_recognizer.wording import did_you_mean
from training.runs.places import run_folders, runs_folder
from training.runs.run import Run


def find_run(name: str, root: Path | None = None) -> Run:
    """A run by its folder, its id, the start of its id, or "last" for the newest.

    Raises:
        RunError: no run, or several, have that name.
    """
    if os.path.exists(Path(name) / "status.json"):  # noqa: PTH110 - Path.exists raises for names that are too long
        return Run.open(Path(name))
    folders = {folder.name: folder for folder in run_folders(root)}
    if name == "last" and folders:
        return Run.open(max(folders.values(), key=_made))
    if name in folders:
        return Run.open(folders[name])
    found = sorted(run_id for run_id in folders if run_id.startswith(name))
    if len(found) == 1:
        return Run.open(folders[found[0]])
    if found:
        raise RunError(f"'{name}' could be any of {len(found)} runs: {', '.join(found[:5])}. Give more of the id.")
    raise RunError(
        f"there is no run '{name}' in {(root or runs_folder()).resolve()}.{did_you_mean(name, folders)} "
        f"See them: text-recognizer runs list"
    )


def _made(folder: Path) -> tuple[int, str]:
    """When a run was made: its spec is written once. An id that W&B gave tells no time."""
    try:
        return (folder / "spec.json").stat().st_mtime_ns, folder.name
    except OSError:
        return 0, folder.name
