"""A bundle by whatever names it: a folder, a canonical bundle, or the run that it is of."""

from pathlib import Path

from text_recognizer.errors import RunError
from text_recognizer.models.bundle import Bundle, find_bundle
from training.runs.find import find_run


def bundle_named(name: str | Path) -> Bundle:
    """
    Args:
        name: a bundle or run folder, a run's id, the start of one, "last", or the name of a canonical bundle.
    Raises:
        DataError: there is no such bundle, or it is damaged.
    """
    if not Path(name).exists():
        try:
            return find_bundle(find_run(str(name)).folder)
        except RunError:  # no run of this name; find_bundle says which bundles there are
            pass
    return find_bundle(name)
