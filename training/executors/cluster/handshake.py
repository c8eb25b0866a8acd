"""Handshake: checks that a node shares this process's files before anything is done there."""

import secrets
import shlex
import sys
from pathlib import Path

from training.files.safe_files import cannot_write

EXIT_UNSEEN, EXIT_NO_PYTHON, EXIT_NO_FOLDER = 71, 72, 73
"""Exit codes of a script on a node that cannot go on: see `refusals`."""


def make_sign(folder: Path) -> Path:
    """A new file that is visible only to nodes that share its folder. Raises RunError: it cannot be written."""
    sign = folder / f"shared.{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sign.touch()
    except OSError as error:
        raise cannot_write(folder, error) from error
    return sign


def handshake(sign: Path) -> list[str]:
    """Lines of a shell script that exit on an unusable node, and otherwise change to this process's folder."""
    return [
        f"[ -e {shlex.quote(str(sign))} ] || exit {EXIT_UNSEEN}",
        f"[ -x {shlex.quote(sys.executable)} ] || exit {EXIT_NO_PYTHON}",
        f"cd {shlex.quote(str(Path.cwd()))} || exit {EXIT_NO_FOLDER}",
    ]


def refusals(node: str, folder: Path) -> dict[int, str]:
    """Why a node is unusable, in words, by exit code of these lines; folder: that of the sign."""
    return {
        EXIT_UNSEEN: f"{node} does not see {folder}: the folder of runs must be on a file system that all nodes "
        "share. Set TEXT_RECOGNIZER_RUNS to a folder on one.",
        EXIT_NO_PYTHON: f"{node} has no {sys.executable}: the Python environment must be there too.",
        EXIT_NO_FOLDER: f"{node} has no {Path.cwd()}: give the command in a folder that all nodes share.",
    }
