"""The predictor that a bundle needs, by what its images show."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from text_recognizer.errors import DataError
from text_recognizer.images.read import ImageSource
from text_recognizer.models.base import Prediction
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.predictors.character import CharacterPredictor
from text_recognizer.predictors.line import LinePredictor


class Predictor(Protocol):
    """Reads images with one bundle."""

    bundle: Bundle

    def predict(self, image: ImageSource) -> Prediction:
        """The reading of one image: an array, a path, an open file or its bytes."""

    def predict_many(self, images: Sequence[ImageSource]) -> list[Prediction]:
        """The readings of several images, in as few passes as possible."""


PREDICTORS: dict[str, Callable[[Bundle], Predictor]] = {"character": CharacterPredictor, "line": LinePredictor}


def load(bundle: Bundle | str | Path) -> Predictor:
    """
    Args:
        bundle: a bundle or its folder, a run folder, or the name of a canonical bundle.
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
    return PREDICTORS[target](found)
