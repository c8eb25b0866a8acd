"""PixelSplit: images of paragraphs with a class for every pixel, and their lines."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import Split
from text_recognizer.datasets.storage.store import Store
from text_recognizer.datasets.storage.strings import unpacked
from text_recognizer.images.line_steps import Grey

Positions = NDArray[np.integer[Any]]


class PixelSplit(Split):
    """Square images of one size with a class for every pixel, as the dataset marks lines; 0 is background.

    Args:
        members: (n,) positions of the stored images in this split, in order.
        partly_annotated: names of pages, also of other splits, with lines that are not annotated.
    """

    def __init__(self, store: Store, members: Positions, partly_annotated: frozenset[str] = frozenset()) -> None:
        self.arrays = store.arrays()
        self.members = members
        self.partly_annotated = partly_annotated

    def __len__(self) -> int:
        return len(self.members)

    def batch(self, positions: Positions) -> dict[str, NDArray[Any]]:
        """The columns "image" (B, S, S, 1) uint8 and "label" (B, S, S) uint8."""
        rows = self.members[positions]
        return {"image": self.arrays["images"][rows][..., None], "label": self.arrays["labels"][rows]}

    def text(self, position: int) -> str:
        """The lines of a paragraph, joined by line breaks."""
        return "\n".join(self.line_texts(position))

    @property
    def ids(self) -> list[str]:
        """(n,) names of the pages."""
        return unpacked("names", self.arrays).take(self.members)

    @property
    def groups(self) -> list[str] | None:
        """(n,) the writer of each page; None where unknown."""
        groups = unpacked("groups", self.arrays).take(self.members)
        return groups if any(groups) else None

    def line_texts(self, position: int) -> list[str]:
        """The texts of the lines of an image, from top to bottom."""
        lines = self._lines(position)
        return unpacked("texts", self.arrays).take(np.arange(lines.start, lines.stop))

    def line_boxes(self, position: int) -> NDArray[np.float32]:
        """(lines, 4) x1, y1, x2, y2 of each line in pixels of the stored image."""
        return np.asarray(self.arrays["boxes"][self._lines(position)])

    def _lines(self, position: int) -> slice:
        row, first = int(self.members[position]), self.arrays["boxes.offsets"]
        return slice(int(first[row]), int(first[row + 1]))


def paragraph_square(
    image: Grey, square: tuple[float, float, float], region: tuple[float, float, float, float]
) -> Grey:
    """A region of a page in a square filled with the median level of the page.

    Args:
        square: left, top and side in pixels of the page; it may extend beyond the page.
        region: left, top, right and bottom of the shown part.
    """
    left, top, side = (round(value) for value in square)
    x1, y1, x2, y2 = (round(value) for value in region)
    x1, y1 = max(x1, left, 0), max(y1, top, 0)
    x2, y2 = min(x2, left + side, image.shape[1]), min(y2, top + side, image.shape[0])
    shown = np.full((side, side), np.median(image), np.uint8)
    if x2 > x1 and y2 > y1:
        shown[y1 - top : y2 - top, x1 - left : x2 - left] = image[y1:y2, x1:x2]
    return shown
