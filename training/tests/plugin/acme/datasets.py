"""A dataset from outside."""

from text_recognizer.datasets.characters.digits import DigitsDataset


class FewDigits(DigitsDataset):
    """A fifth of the digits."""

    def __init__(self, subsample_fraction: float = 0.2) -> None:
        super().__init__(subsample_fraction=subsample_fraction)
