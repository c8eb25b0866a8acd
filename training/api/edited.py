"""Reloads edited user modules in a notebook's process; the processes of runs import them anew anyway."""

import contextlib
import importlib
import sys
from collections.abc import Iterable

from text_recognizer.trust import source_of
from training.runs.environment import hash_and_imports, own_modules

_READ: dict[str, int] = {}  # modification time in ns of users' modules when they were last loaded


def read_edited_again(modules: Iterable[str]) -> None:
    """Reloads modules, and the user's modules that they import, if they or their imports have changed."""
    stale: set[str] = set()
    for name in own_modules(modules):  # imported modules come first
        path = source_of(name)
        if path is None:  # it was removed
            continue
        changed = path.stat().st_mtime_ns
        if _READ.setdefault(name, changed) != changed or not stale.isdisjoint(hash_and_imports(name, path)[1]):
            stale.add(name)
            with contextlib.suppress(Exception, SystemExit):  # the run's own process reports the error
                importlib.reload(sys.modules[name])
        _READ[name] = changed
    if stale:
        hash_and_imports.cache_clear()
