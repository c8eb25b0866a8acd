"""Predictors from Python: by run or by bundle."""

from pathlib import Path

from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.base import Predictor
from text_recognizer.predictors.load import load
from text_recognizer.trust import trust_all
from training.api.run import Run
from training.runs.find import bundle_named


def load_predictor(source: Run | Bundle | str | Path, *, trust_code: bool = False) -> Predictor:
    """Reads images with a trained model.

    Args:
        source: a run (`tr.Run`, an id, the start of one, "last"), a run or bundle folder, or a canonical bundle's name.
        trust_code: run the code that a bundle or run from elsewhere names, as --trust-code does; for the rest of this
            process.
    Raises:
        RunError, DataError: there is no such run or bundle, or it is damaged.
        SpecError: it names code from elsewhere.

    Example:
        >>> tr.load_predictor("last").predict("digit.png").text
    """
    if trust_code:
        trust_all()
    if isinstance(source, Run):
        return load(source.folder)
    return load(source if isinstance(source, Bundle) else bundle_named(source))
