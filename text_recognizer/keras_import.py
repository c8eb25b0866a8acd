"""The import of Keras and TensorFlow, in four fifths of its time; and a quick end of the process after it."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# At its end Python would look through all that was imported before it clears module after module, which alone takes a
# tenth of the time.
atexit.register(gc.freeze)


@contextmanager
def importing_keras() -> Iterator[None]:
    """Keras imports scikit-learn, where it is there, for wrappers that no run uses: a fifth of its start.

    Another fifth would be looks for garbage among a million objects that stay: meanwhile, and right after it.
    """
    collects, imported = gc.isenabled(), "sklearn" in sys.modules
    gc.disable()
    if not imported:
        sys.modules["sklearn"] = None  # type: ignore[assignment] # by which `import` takes it for absent
    try:
        yield
    finally:
        if not imported:
            del sys.modules["sklearn"]
        if collects:
            if gc.get_freeze_count() == 0:  # else what others froze would no longer be
                gc.freeze()
                gc.unfreeze()  # all are among the oldest objects now, without a look at them
            gc.enable()
