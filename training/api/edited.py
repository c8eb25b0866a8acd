"""A notebook's process lives on while its user's files are edited; the processes of runs read them anew."""

import contextlib
import importlib
import sys
from collections.abc import Iterable

from text_recognizer.trust import source_of
from training.runs.environment import hash_and_imports, own_modules

_READ: dict[str, int] = {}  # of users' modules: the time of the file's last change, in ns, when it was last read


def read_edited_again(modules: Iterable[str]) -> None:
    """Reads modules, and those of the user's that they import, again where they or what they import have changed."""
    stale: set[str] = set()
    for name in own_modules(modules):  # what one imports comes before it
        path = source_of(name)
        if path is None:  # it was removed
            continue
        changed = path.stat().st_mtime_ns
        if _READ.setdefault(name, changed) != changed or not stale.isdisjoint(hash_and_imports(name, path)[1]):
            stale.add(name)
            with contextlib.suppress(Exception, SystemExit):  # the run's own process says what is wrong with it
                importlib.reload(sys.modules[name])
        _READ[name] = changed
    if stale:
        hash_and_imports.cache_clear()
