"""How well lines are found on pages at full resolution: their boxes against the annotated ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.pages.pixel_split import PixelSplit, paragraph_square
from text_recognizer.datasets.storage.strings import unpacked
from text_recognizer.images.grey import read_grey
from text_recognizer.layout.shapes import FoundLine
from text_recognizer.models.line_detector import matched_boxes


@dataclass(frozen=True)
class FoundOnPage:
    """Counts of one page: lines found, lines annotated, and those of both that are the same.

    Args:
        is_partial: it has more lines than are annotated, so that it counts for the recall only.
    """

    page: str
    found: int
    annotated: int
    matched: int
    is_partial: bool = False


@dataclass(frozen=True)
class FoundLines:
    """Counts of many pages, and their rates: sums first, the ratio last."""

    pages: tuple[FoundOnPage, ...]

    @property
    def precision(self) -> float:
        return sum(page.matched for page in self._whole) / max(1, sum(page.found for page in self._whole))

    @property
    def recall(self) -> float:
        return sum(page.matched for page in self.pages) / max(1, sum(page.annotated for page in self.pages))

    @property
    def f1(self) -> float:
        both = sum(page.found + page.annotated for page in self._whole)
        return 2 * sum(page.matched for page in self._whole) / max(1, both)

    @property
    def _whole(self) -> list[FoundOnPage]:
        return [page for page in self.pages if not page.is_partial]


def found_lines(split: PixelSplit, find: Callable[[NDArray[np.uint8]], Sequence[FoundLine]]) -> FoundLines:
    """What a detector finds on the pages of a split, each cut as its dataset cuts it.

    A line is found when the boxes' intersection is at least half of their union; see models.line_detector.
    """
    pages = []
    for position, name in enumerate(split.ids):
        image, annotated = original(split, position)
        boxes = np.array([line.box for line in find(image)], np.int32).reshape(-1, 4)
        matched, is_partial = matched_boxes(boxes, annotated), name in split.partly_annotated
        pages.append(FoundOnPage(name, len(boxes), len(annotated), matched, is_partial))
    return FoundLines(tuple(pages))


def original(split: PixelSplit, position: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The square of the page that a stored picture shows, at full resolution, and the lines' boxes in it."""
    row = int(split.members[position])
    left, top, side, *region = split.arrays["squares"][row].tolist()
    image = read_grey(Path(unpacked("paths", split.arrays)[row]))
    square = paragraph_square(image, (left, top, side), (region[0], region[1], region[2], region[3]))
    return square, split.line_boxes(position) * np.float32(side / split.arrays["images"].shape[1])
