"""The import of Keras and TensorFlow, in four fifths of its time."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing_keras() -> Iterator[None]:
    """Keras imports scikit-learn, where it is there, for wrappers that no run uses: a fifth of its start.

    Another fifth would be looks for garbage among a million objects that stay.
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
            gc.enable()
