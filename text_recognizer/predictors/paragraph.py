"""ParagraphTextRecognizer: a page or paragraph to its lines, and the lines to text."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.images.grey import MOST_PIXELS
from text_recognizer.images.line_form import STEPS
from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.models.line_detector import LineDetectorModel
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.line import LinePredictor

Grey = NDArray[np.uint8]

BLANK_LEVELS = 16  # a picture with less between its paper and its ink shows nothing
_LONGEST_SIDE = math.isqrt(MOST_PIXELS)  # of a page at full resolution; its square has no more pixels
MARGIN_FRACTION = 0.15  # of a line's height, left around its box: detectors cut off tips of letters


@dataclass(frozen=True)
class LineOfText:
    """One line of a page.

    Args:
        box: left, top, right, bottom in pixels of the image, ends excluded.
    """

    box: tuple[int, int, int, int]
    prediction: Prediction


@dataclass(frozen=True)
class PageReading:
    """What is read on a page, from top to bottom; a blank page has no lines."""

    lines: tuple[LineOfText, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.prediction.text for line in self.lines)


class ParagraphTextRecognizer:
    """Finds the lines of a paragraph with one bundle and reads them with another.

    Args:
        detector, reader: bundles or their folders, run folders, or names of promoted models.
        alternatives: readings to list for a line; see LinePredictor.
    Raises:
        DataError: a bundle is missing, or does something else.
    """

    def __init__(
        self, detector: Bundle | str | Path, reader: Bundle | str | Path, alternatives: int | None = None
    ) -> None:
        self.detector = find_bundle(detector)
        if self.detector.data_spec.target != "pixels":
            raise DataError(f"the bundle {self.detector.folder} does not find lines.")
        self.reader = LinePredictor(reader, alternatives)
        model = self.detector.load()
        assert isinstance(model, LineDetectorModel)
        self._model = model

    def predict(self, image: ImageSource) -> PageReading:
        """The lines of one image: an array, a path, an open file or its bytes. Ink may be dark or light.

        Raises:
            DataError: the image cannot be read.
        """
        page = read_image(image)
        boxes, crops = [], []
        for box in self.find_lines(page):
            left, top, right, bottom = box
            try:
                crops.append(self.reader.prepared(page[top:bottom, left:right]))
            except DataError:  # a box without any ink
                continue
            boxes.append(box)
        predictions = self.reader.predict_prepared(crops)
        return PageReading(tuple(map(LineOfText, boxes, predictions)))

    def find_lines(self, page: Grey) -> list[tuple[int, int, int, int]]:
        """The boxes of the lines of a page (H, W), from top to bottom, with a margin."""
        dark_on_light = with_dark_ink(page)
        if dark_on_light is None:
            return []
        small, scale, (left, top) = as_square(dark_on_light, self.detector.data_spec)
        boxes = self._model.find_lines(small[None])[0] * scale - [left, top, left, top]
        margin = MARGIN_FRACTION * (boxes[:, 3:] - boxes[:, 1:2])
        height, width = page.shape
        grown = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
        inside = np.rint(np.clip(grown, 0, [width, height, width, height])).astype(int)
        return [(box[0], box[1], box[2], box[3]) for box in inside.tolist() if box[2] > box[0] and box[3] > box[1]]


def with_dark_ink(page: Grey) -> Grey | None:
    """A page (H, W) with its ink darker than its paper; None where nothing stands out from the paper."""
    from PIL import Image, ImageFilter

    # A stroke survives where the noise of single pixels is averaged away.
    counts = np.array(Image.fromarray(page).filter(ImageFilter.BoxBlur(1)).histogram())
    paper, present = _median(counts), np.flatnonzero(counts)
    if max(present[-1] - paper, paper - present[0]) < BLANK_LEVELS:
        return None
    # Squares: a page has far more paper than ink, and its levels scatter on both sides.
    levels = np.arange(256)
    above, below = np.maximum(levels - paper, 0) ** 2 @ counts, np.maximum(paper - levels, 0) ** 2 @ counts
    return np.invert(page) if above > below else page


def as_square(page: Grey, data_spec: DataSpec) -> tuple[Grey, float, tuple[int, int]]:
    """A page as a detector's dataset holds it.

    Args:
        page: (H, W), dark ink on light paper.
    Returns:
        (S, S, 1); pixels of the page for each of the square's; how much paper was added on the left and above.
    """
    from PIL import Image

    size = data_spec.input_shape[0]
    factor = math.ceil(max(page.shape) / _LONGEST_SIDE)
    if factor > 1:
        page = np.asarray(Image.fromarray(page).reduce(factor))
    height, width = page.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side), int(_median(np.array(Image.fromarray(page).histogram()))), np.uint8)
    square[top : top + height, left : left + width] = page
    small = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BOX))
    for step in data_spec.preprocessing:
        small = STEPS[step](small)
    shown = np.invert(small) if data_spec.ink == "light" else small
    return shown[..., None], factor * side / size, (factor * left, factor * top)


def _median(counts: NDArray[np.int64]) -> float:
    """The median of grey levels, of which there are so many of each; sorting a page takes seconds."""
    middle = (counts.sum() - 1) / 2
    lower, upper = np.searchsorted(counts.cumsum(), [math.floor(middle), math.ceil(middle)], side="right")
    return float(lower + upper) / 2
