"""Predictor: reads images with one trained bundle."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError
from text_recognizer.images.read import ImageSource
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.models.prediction import Prediction


class Predictor(ABC):
    """Reads images with one trained bundle. Raises DataError: there is none, it is damaged, or of another kind.

    Args:
        bundle: a bundle or its folder, a run folder, or the name of a promoted model; None takes the shipped one.
        alternatives: number of readings to list per image; None lists those that the model finds anyway.
        threads: threads of one call, if the bundle has an ONNX twin; 0 uses one per core.
    """

    target: ClassVar[str]  # what an image shows, as in DataSpec.target
    shipped: ClassVar[str]
    _model: Model

    def __init__(
        self, bundle: Bundle | str | Path | None = None, alternatives: int | None = None, threads: int = 0
    ) -> None:
        self.bundle = find_bundle(self.shipped if bundle is None else bundle)
        found = self.bundle.data_spec.target
        if found != self.target:
            does = "finds lines on pages" if found == "pixels" else f"reads a {found}"
            raise DataError(f"the bundle {self.bundle.folder} {does}, it does not read a {self.target}.")
        self._model = self.bundle.load_to_read(threads)
        self._model.alternatives = alternatives

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: reads a {self.target} with {self.bundle.folder}, run {self.bundle.run_id}>"

    @property
    def can_share_cores(self) -> bool:
        """Whether several threads can share the cores; TensorFlow uses all cores itself."""
        return self._model.runtime is not None

    def predict(self, image: ImageSource) -> Prediction:
        """Reads an image: array, path, open file or bytes; dark or light ink. Raises DataError: unreadable or blank."""
        return self.predict_many([image])[0]

    def predict_many(self, images: Sequence[ImageSource]) -> list[Prediction]:
        """The readings of several images, in as few batches as possible; errors as in `predict`."""
        forms = [self.forms(image) for image in images]
        return [reading for _, reading in surest(forms, self.predict_prepared([one for each in forms for one in each]))]

    @abstractmethod
    def prepared(self, image: ImageSource) -> NDArray[np.uint8]:
        """The image (H, W, 1) in the form of the bundle's dataset. Raises DataError: it is unreadable or blank."""

    def forms(self, image: ImageSource) -> list[NDArray[np.uint8]]:
        """The candidates of `prepared`; see `surest`. Errors as in `prepared`."""
        return [self.prepared(image)]

    @abstractmethod
    def predict_prepared(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """The readings of images returned by `prepared`."""


def surest(
    forms: Sequence[Sequence[NDArray[np.uint8]]], readings: Iterable[Prediction]
) -> list[tuple[NDArray[np.uint8], Prediction]]:
    """For each image, the form with the most confident non-empty reading, and that reading.

    Args:
        readings: readings of all forms, concatenated.
    """
    following = iter(readings)
    pairs = [[(form, next(following)) for form in each] for each in forms]
    return [max(each, key=lambda pair: pair[1].sureness if pair[1].text else 0.0) for each in pairs]


def name_of(image: ImageSource) -> str:
    """The name of an image in messages."""
    return str(image) if isinstance(image, (str, PathLike)) else "the image"
