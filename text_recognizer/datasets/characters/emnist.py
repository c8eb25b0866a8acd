"""EMNIST: handwritten digits and letters in the manner of MNIST, and any other characters in its file layouts."""

from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.arguments import check_value
from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.characters.base import CharacterDataset, Fraction, SubsampleFraction
from text_recognizer.datasets.characters.files import read_character_files
from text_recognizer.datasets.formats.hdf5_lines import FSDL_SYMBOLS
from text_recognizer.datasets.remote.fetch import fetch
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.errors import SpecError

EmnistSplit = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
ClassMapping = Literal["classes", "fsdl"]
Orientation = Literal["transposed", "upright"]

BYCLASS = digits + ascii_uppercase + ascii_lowercase
# Where upper and lower case look alike (C c, I i, …) they share a class.
MERGED = digits + ascii_uppercase + "abdefghnqrt"
CLASSES: dict[EmnistSplit, str] = {
    "byclass": BYCLASS,
    "bymerge": MERGED,
    "balanced": MERGED,
    "letters": ascii_uppercase,
    "digits": digits,
    "mnist": digits,
}


class EmnistDataset(CharacterDataset):
    """Up to 814,255 handwritten characters of 28 x 28 pixels, light on dark; test splits as published.

    Source: Cohen, Afshar, Tapson and van Schaik (2017), "EMNIST: an extension of MNIST to handwritten letters".

    Args:
        split: byclass has 62 classes as frequent as in the forms they come from; bymerge and balanced 47; letters 26,
            upper and lower case together; digits and mnist 10.
        mapping: "classes", or "fsdl" for the 80 symbols of the Full Stack Deep Learning recogniser (byclass only):
            the same 62 ids, then punctuation and padding.
        balance: use no more training images of a class than the mean class has, chosen at random without
            replacement; validation is held out of what remains, the test split stays as it is.
        source: the table of metadata.toml with the files: idx files, an archive of them, or of MATLAB files.
        orientation: orientation of the pixels in the files. Official files are transposed; the dataset's images are
            upright.
        subsample_fraction: keep this share of every class in every split, chosen at random.
        validation_fraction: share of the training images held out for validation.
    """

    def __init__(
        self,
        split: EmnistSplit = "byclass",
        mapping: ClassMapping = "classes",
        balance: bool = False,
        source: str = "emnist",
        orientation: Orientation = "transposed",
        subsample_fraction: SubsampleFraction | None = None,
        validation_fraction: Fraction = 0.1,
    ) -> None:
        super().__init__(subsample_fraction, validation_fraction, balance)
        problems = [
            problem
            for name, value, allowed in (
                ("split", split, EmnistSplit),
                ("mapping", mapping, ClassMapping),
                ("orientation", orientation, Orientation),
            )
            for problem in check_value(f"dataset 'EmnistDataset': {name}", allowed, value)[1]
        ]
        if mapping == "fsdl" and split in CLASSES and split != "byclass":
            problems.append(
                f"dataset 'EmnistDataset': mapping 'fsdl' begins with the 62 classes of split 'byclass', "
                f"but split is '{split}'. Use split 'byclass', or mapping 'classes'."
            )
        if problems:
            raise SpecError(problems)
        self.emnist_split = split
        self.mapping = mapping
        self.table = source
        self.orientation = orientation

    @property
    def data_spec(self) -> DataSpec:
        symbols = FSDL_SYMBOLS if self.mapping == "fsdl" else CLASSES[self.emnist_split]
        return DataSpec(input_shape=(28, 28, 1), classes=tuple(symbols), margin_px=2)

    def depends_on(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "files": find_table(self.table).hashes,
            "split": self.emnist_split,
            "orientation": self.orientation,
        }

    def read(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[Any]]]:
        files = fetch(find_table(self.table))
        first_label = 1 if self.emnist_split == "letters" else 0
        return {
            part: (
                images.swapaxes(1, 2) if self.orientation == "transposed" else images,
                labels.astype(np.int32) - first_label,
            )
            for part, (images, labels) in read_character_files(files, f"emnist-{self.emnist_split}").items()
        }
