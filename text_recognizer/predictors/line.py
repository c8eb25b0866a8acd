"""LinePredictor: reads an image of one text line."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError, reason
from text_recognizer.images.line_form import LineForm, UnfitImageError, without_blank_rows, without_shadow
from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.models.bundle import Bundle
from text_recognizer.models.line_base import ReadsLines
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.base import Predictor, name_of, surest

DEFAULT_BUNDLE = "line-reader"


class LinePredictor(Predictor):
    """Reads text lines: `LinePredictor().predict("line.png").text`. Arguments: see Predictor."""

    target = "line"
    shipped = DEFAULT_BUNDLE
    _model: ReadsLines

    def __init__(
        self, bundle: Bundle | str | Path | None = None, alternatives: int | None = None, threads: int = 0
    ) -> None:
        super().__init__(bundle, alternatives, threads)
        self.form = LineForm.of(self.bundle.data_spec)
        height = self.bundle.data_spec.input_shape[0]
        stroke = np.full((height, 8 * height), 255, np.uint8)
        stroke[2:-2, 8:-8:4] = 0
        self.predict(stroke)  # warm-up: compiles and imports what the first reading needs

    def predict_prepared(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        return self._model.predict(images) if len(images) else []

    def prepared(self, image: ImageSource) -> NDArray[np.uint8]:
        """See Predictor. Blank rows above and below the writing are cropped if the reading is then more confident."""
        lines = self.forms(image)
        return surest([lines], self.predict_prepared(lines))[0][0] if len(lines) > 1 else lines[0]

    def forms(self, image: ImageSource) -> list[NDArray[np.uint8]]:
        """The line; and, if it has many more blank rows than lines in training, also cropped to its writing.

        Readers of earlier versions have no record of this.
        """
        usual = self._model.calibration.written_share if self._model.calibration is not None else None
        try:
            picture = without_shadow(read_image(image))
            lines = [self.form.apply(picture)[..., None]]
        except UnfitImageError as error:
            why = f"cannot be read as a line: {reason(error)}."
            raise DataError(f"{name_of(image)} {why}", common=why) from None
        if usual is None:
            return lines
        for trimmed in without_blank_rows(picture, usual):
            with suppress(UnfitImageError):  # a bar alone is blank, a thin line too wide
                lines.append(self.form.apply(trimmed)[..., None])
        return lines
