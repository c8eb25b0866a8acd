"""Trust: which modules a name may import. Importing runs code, so a name from elsewhere needs the user's consent.

A name on the user's command line, or in a file of theirs, is their own code. The path of its source is stored outside
all run folders, so that their own runs and bundles need no flag later: run folders and bundles can be forged.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from text_recognizer.settings import state_folder

# Comma-separated modules that may be imported for any name; 1 stands for all. Child processes inherit it.
VARIABLE = "TEXT_RECOGNIZER_TRUST_CODE"
_ALL = "1"
_RECORD = "own_modules.jsonl"


class TrustCode(argparse.Action):
    """--trust-code: for this command and the processes that it starts, names may load any module."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        text = "allow code that a bundle or run folder from elsewhere names"
        super().__init__(option_strings, dest, nargs=0, help=text)

    def __call__(self, *_: Any) -> None:
        trust_all()


def trust_all() -> None:
    """From now on, this process and those that it starts may load any module that a bundle or run folder names."""
    os.environ[VARIABLE] = _ALL


def is_trusted(module: str) -> bool:
    """Whether a module named in a file from elsewhere may be imported; imports nothing."""
    named = _named()
    if _ALL in named or module in named or module in sys.modules:  # imported modules have already run
        return True
    source = source_of(module)
    return source is not None and str(source) in _remembered()


def remember(module: str) -> None:
    """Records that the user has named a module: for child processes, and for later ones."""
    named = _named()
    if _ALL in named or module in named:
        return
    os.environ[VARIABLE] = ",".join(sorted({*named, module}))
    source = source_of(module)
    if source is None or str(source) in _remembered():
        return
    with contextlib.suppress(OSError):  # the home folder is read-only: later processes need the flag
        state_folder().mkdir(parents=True, exist_ok=True)
        with open(state_folder() / _RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(str(source)) + "\n")


def source_of(module: str) -> Path | None:
    """The file that a module is or would be imported from, without importing it; None if there is none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        search: Sequence[str] | None = import_path()
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            spec = PathFinder.find_spec(".".join(parts[:depth]), search) if search is not None else None
            if spec is None:
                return None
            file, search = spec.origin, spec.submodule_search_locations
    return Path(file).absolute() if file is not None and Path(file).is_file() else None


def import_path() -> list[str]:
    """Where user modules are searched: the current folder, which console scripts omit, then sys.path."""
    here = current_folder()
    return sys.path if here is None or here in sys.path else [here, *sys.path]


def current_folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed
        return None


def _named() -> set[str]:
    return set(filter(None, os.environ.get(VARIABLE, "").split(",")))


def _remembered() -> set[str]:
    try:
        return {json.loads(line) for line in (state_folder() / _RECORD).read_text(encoding="utf-8").splitlines()}
    except (OSError, ValueError, TypeError, RecursionError):
        return set()
