"""A notebook's process lives on while its user's files are edited; the processes of runs read them anew."""

import contextlib
import importlib
import sys
from collections.abc import Iterable

from text_recognizer.spec import ExperimentSpec
from text_recognizer.trust import source_of

_READ: dict[str, int] = {}  # of users' modules: the time of the file's last change, in ns, when it was last read


def read_edited_again(specs: Iterable[ExperimentSpec]) -> None:
    """Reads the modules that specs name again, where their files have changed since this was last asked."""
    from training.executors.zygote.preloading import users_modules

    for name in users_modules(specs):
        path = source_of(name)
        changed = path.stat().st_mtime_ns if path is not None else 0
        if _READ.setdefault(name, changed) != changed and name in sys.modules:
            _READ[name] = changed
            with contextlib.suppress(Exception, SystemExit):  # the run's own process says what is wrong with it
                importlib.reload(sys.modules[name])
