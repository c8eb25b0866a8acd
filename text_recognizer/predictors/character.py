"""CharacterPredictor: an image of one character to its reading."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.read import ImageSource, fit_to, read_image
from text_recognizer.models.bundle import Bundle
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.base import Predictor, name_of

DEFAULT_BUNDLE = "CharacterModel_DigitsDataset_lenet"


class CharacterPredictor(Predictor):
    """Reads characters: `CharacterPredictor().predict("seven.png").text`. Arguments as of Predictor."""

    target = "character"

    def __init__(self, bundle: Bundle | str | Path = DEFAULT_BUNDLE, alternatives: int | None = None) -> None:
        super().__init__(bundle, alternatives)

    def prepared(self, image: ImageSource) -> NDArray[np.uint8]:
        return fit_to(read_image(image), self.bundle.data_spec, name_of(image))

    def predict_prepared(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        return self._model.predict(np.stack(images)) if len(images) else []
