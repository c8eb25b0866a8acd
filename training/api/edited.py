"""A notebook's process lives on while its user's files are edited; the processes of runs read them anew."""

import contextlib
import importlib
import sys
from collections.abc import Iterable

from text_recognizer.trust import source_of
from training.runs.environment import hash_and_imports, own_modules

_READ: dict[str, int] = {}  # of users' modules: the time of the file's last change, in ns, when it was last read


def read_edited_again(modules: Iterable[str]) -> None:
    """Reads modules, and those of the user's that they import, again where files have changed since last asked.

    After one that has changed, those that may import it are read again too.
    """
    is_stale = False
    for name in own_modules(modules):
        path = source_of(name)
        changed = path.stat().st_mtime_ns if path is not None else 0
        is_stale |= _READ.setdefault(name, changed) != changed
        _READ[name] = changed
        if is_stale and name in sys.modules:
            with contextlib.suppress(Exception, SystemExit):  # the run's own process says what is wrong with it
                importlib.reload(sys.modules[name])
    if is_stale:
        hash_and_imports.cache_clear()
