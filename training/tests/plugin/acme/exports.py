"""A form of export from outside."""

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.base import DatasetExport


class Texts(DatasetExport):
    """The texts alone, one a line.

    Args:
        upper: in capitals.
    """

    def __init__(self, upper: bool = False) -> None:
        self.upper = upper

    def write(self, dataset, output):
        texts = [text for name in SPLIT_NAMES for text in dataset.split(name).texts]
        output.write_text("\n".join(text.upper() if self.upper else text for text in texts), encoding="utf-8")
