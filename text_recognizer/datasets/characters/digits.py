"""The handwritten digits that scikit-learn ships: no download."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.characters.base import CharacterDataset, Fraction


@dataclass(eq=False, repr=False)
class DigitsDataset(CharacterDataset):
    """1,797 real digits of 8 x 8 pixels, split 60 : 20 : 20 by default.

    Source: Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
    (its test part), CC BY 4.0. A pixel counts the ink in 4 x 4 pixels of a 32 x 32 bitmap, 0 to 16.

    Args:
        subsample_fraction: keep this share of every class in every split, chosen at random.
        validation_fraction: share of the images outside the test split held out for validation.
    """

    validation_fraction: Fraction = 0.25
    balance: bool = field(default=False, init=False)

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec(input_shape=(8, 8, 1), classes=tuple("0123456789"))

    def depends_on(self) -> dict[str, Any]:
        return {"package": "scikit-learn"}

    def read(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[Any]]]:
        import sklearn.datasets

        digits = sklearn.datasets.load_digits()
        return {"all": (np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target)}
