"""The predictor that a bundle needs, by what its images show."""

from pathlib import Path

from text_recognizer.errors import DataError
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.predictors.base import Predictor
from text_recognizer.predictors.character import CharacterPredictor
from text_recognizer.predictors.line import LinePredictor

PREDICTORS: dict[str, type[Predictor]] = {"character": CharacterPredictor, "line": LinePredictor}


def load(bundle: Bundle | str | Path, threads: int = 0) -> Predictor:
    """The predictor of a bundle; `threads` as of Predictor.

    Raises:
        DataError: there is no such bundle, it is damaged, or it finds lines and reads nothing.
    """
    found = find_bundle(bundle)
    target = found.data_spec.target
    if target not in PREDICTORS:
        raise DataError(
            f"the bundle {found.folder} works on images of {target} and reads no text. "
            f"Expected one that reads: {', '.join(PREDICTORS)}."
        )
    return PREDICTORS[target](found, threads=threads)
