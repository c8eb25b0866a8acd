"""Imports Keras and TensorFlow in four fifths of the usual time, and makes the process exit quickly afterwards."""

import atexit
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from text_recognizer.errors import RunError

# At exit, Python would collect garbage among everything imported before it clears the modules; clearing them takes only
# a tenth of the time.
atexit.register(gc.freeze)
_loaded_in: set[int] = set()  # the process that loaded a model, and its forks


def check_not_forked() -> None:
    """Call before a model is loaded or used. Raises RunError: the parent process has loaded one."""
    _loaded_in.add(os.getpid())
    if len(_loaded_in) > 1:
        raise RunError(
            "this process was forked from one that had loaded a model: TensorFlow would hang in it. Start a new "
            "process, as multiprocessing.get_context('spawn') does, or promote the model: its ONNX file works here too."
        )


def require_tensorflow() -> None:
    """Checks that TensorFlow can be imported. Raises RunError: it is not installed."""
    if importlib.util.find_spec("tensorflow") is None:
        raise RunError(
            "this needs TensorFlow, which is not installed: pip install 'text-recognizer[cpu]', or [gpu] for NVIDIA "
            "GPUs. Without it, only bundles with an ONNX file can be read; text-recognizer promote adds one."
        )


@contextmanager
def importing_keras() -> Iterator[None]:
    """Speeds up the import of Keras: it imports scikit-learn, if installed, for unused wrappers, a fifth of its time.

    Another fifth would be garbage collection among a million objects that stay, during and right after the import.

    Raises:
        RunError: TensorFlow is not installed.
    """
    require_tensorflow()
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
            if gc.get_freeze_count() == 0:  # otherwise objects frozen by others would be unfrozen
                gc.freeze()
                gc.unfreeze()  # all are in the oldest generation now, without having been traversed
            gc.enable()
