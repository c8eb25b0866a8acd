"""Keras without what it imports for others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_scikit_learn() -> Iterator[None]:
    """Keras imports scikit-learn, where it is there, for wrappers that no run uses: a fifth of its start."""
    if "sklearn" in sys.modules:
        yield
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment] # by which `import` takes it for absent
    try:
        yield
    finally:
        del sys.modules["sklearn"]
