"""Locations and names of run folders."""

import functools
import os
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from text_recognizer.datasets.storage.file_states import SYSTEM_FOLDERS
from text_recognizer.errors import RunError
from text_recognizer.settings import user_folder
from text_recognizer.spec import ExperimentSpec
from training.terminal.command_line import say

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # without look-alikes
_warn_once = functools.cache(say)


def runs_folder(named: Path | str | None = None) -> Path:
    """The folder for runs: given, else TEXT_RECOGNIZER_RUNS or runs/. Raises RunError: it does not exist."""
    if named is None:
        return user_folder("TEXT_RECOGNIZER_RUNS", lambda: "runs")
    if not os.path.isdir(named):  # noqa: PTH112 - Path.is_dir raises for very long names
        raise RunError(f"there is no folder {named}. Name one that holds run folders.")
    return Path(named)


def group_folder_name(experiment_group: str) -> str:
    """A group's label as a folder name: characters special to shells or file systems become dashes."""
    return re.sub(r"[^\w.+=-]+", "-", experiment_group).strip("-.") or "default"


def new_run_id(spec: ExperimentSpec) -> str:
    """For example 20261120-093012-k3x9f-lenet: sorts by time, is unique on shared disks, and descriptive."""
    network = re.sub(r"\W+", "", spec.network.rpartition(":")[2]).lower()[:24]
    now = datetime.now()
    part = now.microsecond * len(_LETTERS) ** 2 // 1_000_000  # fraction of the second, in two letters that sort by time
    code = _LETTERS[part // len(_LETTERS)] + _LETTERS[part % len(_LETTERS)]
    code += "".join(secrets.choice(_LETTERS) for _ in range(3))
    return f"{now:%Y%m%d-%H%M%S}-{code}-{network}"


def run_folders(root: Path | None = None) -> Iterator[Path]:
    """All run folders by name, unordered; a warning for a group that this user may not read.

    Raises:
        RunError: the folder cannot be read.
    """
    place = root or runs_folder()
    try:
        groups = [entry.path for entry in os.scandir(place) if entry.is_dir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_look(place, error) from error
    for group in groups:
        try:
            for entry in os.scandir(group):
                if entry.is_dir() and not entry.name.startswith("."):
                    yield Path(entry.path)
        except PermissionError:
            if Path(group).name not in SYSTEM_FOLDERS:
                _warn_once(f"warning: no permission to read {group}: its runs are left out.")
        except OSError:  # it was deleted
            continue


def cannot_look(place: Path, error: OSError) -> RunError:
    """The error for a folder of runs that cannot be read."""
    return RunError(
        f"cannot look for runs in {place}: {error.strerror or error}. "
        f"Set TEXT_RECOGNIZER_RUNS to the folder that holds them."
    )
