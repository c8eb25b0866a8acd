"""CharacterPredictor: reads an image of one character."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.read import ImageSource, fit_to, read_image
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.base import Predictor, name_of

DEFAULT_BUNDLE = "CharacterModel_DigitsDataset_lenet"


class CharacterPredictor(Predictor):
    """Reads characters: `CharacterPredictor().predict("seven.png").text`. Arguments: see Predictor."""

    target = "character"
    shipped = DEFAULT_BUNDLE

    def prepared(self, image: ImageSource) -> NDArray[np.uint8]:
        return fit_to(read_image(image), self.bundle.data_spec, name_of(image))

    def predict_prepared(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        return self._model.predict(np.stack(images)) if len(images) else []
