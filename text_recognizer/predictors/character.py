"""CharacterPredictor: an image of one character to its reading."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from text_recognizer.errors import DataError
from text_recognizer.images.read import ImageSource, fit_to, read_image
from text_recognizer.models.base import Prediction
from text_recognizer.models.bundle import Bundle, find_bundle

DEFAULT_BUNDLE = "CharacterModel_DigitsDataset_lenet"


class CharacterPredictor:
    """Reads characters with a trained bundle.

    Args:
        bundle: a bundle or its folder, a run folder, or the name of a canonical bundle.
        alternatives: readings to list for a character; None lists five.
    """

    def __init__(self, bundle: Bundle | str | Path = DEFAULT_BUNDLE, alternatives: int | None = None) -> None:
        self.bundle = find_bundle(bundle)
        if self.bundle.data_spec.target != "character":
            raise DataError(f"the bundle {self.bundle.folder} reads a {self.bundle.data_spec.target}, not a character.")
        self._model = self.bundle.load()
        self._model.alternatives = alternatives

    def predict(self, image: ImageSource) -> Prediction:
        """The reading of one image: an array, a path, an open file or its bytes. Ink may be dark or light.

        Raises:
            DataError: the image cannot be read or is blank.
        """
        return self.predict_many([image])[0]

    def predict_many(self, images: Sequence[ImageSource]) -> list[Prediction]:
        """The readings of several images, in one pass."""
        fitted = [fit_to(read_image(image), self.bundle.data_spec, _name(image)) for image in images]
        return self._model.predict(np.stack(fitted)) if fitted else []


def _name(image: ImageSource) -> str:
    return str(image) if isinstance(image, (str, PathLike)) else "the image"
