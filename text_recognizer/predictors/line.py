"""LinePredictor: an image of one text line to its reading."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError
from text_recognizer.images.line_form import LineForm, UnfitImageError
from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.models.base import Prediction
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.models.line_base import ReadsLines


class LinePredictor:
    """Reads text lines with a trained bundle.

    Args:
        bundle: a bundle or its folder, a run folder, or the name of a canonical bundle.
        alternatives: readings to list for a line; None lists those that the bundle's decoding finds anyway.
    """

    def __init__(self, bundle: Bundle | str | Path, alternatives: int | None = None) -> None:
        self.bundle = find_bundle(bundle)
        target = self.bundle.data_spec.target
        if target != "line":
            does = "finds lines on pages" if target == "pixels" else f"reads a {target}"
            raise DataError(f"the bundle {self.bundle.folder} {does}, it does not read a line.")
        self.form = LineForm.of(self.bundle.data_spec)
        model = self.bundle.load()
        model.alternatives = alternatives
        assert isinstance(model, ReadsLines)
        self._model = model
        height = self.bundle.data_spec.input_shape[0]
        stroke = np.full((height, 8 * height), 255, np.uint8)
        stroke[height // 4 : height // 2, 8:-8:4] = 0
        self.predict(stroke)  # what is compiled and imported on first use is so here, not for the first reader

    def predict(self, image: ImageSource) -> Prediction:
        """The reading of one image: an array, a path, an open file or its bytes. Ink may be dark or light.

        Raises:
            DataError: the image cannot be read or is blank.
        """
        return self.predict_many([image])[0]

    def predict_many(self, images: Sequence[ImageSource]) -> list[Prediction]:
        """The readings of several images, in as few passes as their widths allow."""
        return self.predict_prepared([self.prepared(image) for image in images])

    def predict_prepared(self, lines: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """The readings of lines (H, W, 1) as `prepared` makes them."""
        return self._model.predict(lines) if len(lines) else []

    def prepared(self, image: ImageSource) -> NDArray[np.uint8]:
        """The image as the dataset of the bundle would hold it: (H, W, 1).

        Raises:
            DataError: the image cannot be read or is blank.
        """
        try:
            return self.form.apply(read_image(image))[..., None]
        except UnfitImageError as error:
            name = str(image) if isinstance(image, (str, PathLike)) else "the image"
            raise DataError(f"{name} cannot be read as a line: {error}.") from None
