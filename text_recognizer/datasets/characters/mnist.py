"""MNIST, and any other ten digits in its file layout."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.characters.base import CharacterDataset
from text_recognizer.datasets.characters.files import read_character_files
from text_recognizer.datasets.remote.fetch import fetch
from text_recognizer.datasets.remote.metadata import find_table


@dataclass(eq=False, repr=False)
class MnistDataset(CharacterDataset):
    """70,000 handwritten digits of 28 x 28 pixels, light on dark; the 10,000 of the test split as published.

    Source: LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition".

    Args:
        source: the table of metadata.toml with the files, four idx files or an archive of them.
        subsample_fraction: keep this share of every class in every split, chosen at random.
        validation_fraction: share of the training images held out for validation.
    """

    source: str = "mnist"
    balance: bool = field(default=False, init=False)

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec(input_shape=(28, 28, 1), classes=tuple("0123456789"), margin_px=4)

    def depends_on(self) -> dict[str, Any]:
        return {"table": self.source, "files": find_table(self.source).hashes}

    def read(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[Any]]]:
        return dict(read_character_files(fetch(find_table(self.source))))
