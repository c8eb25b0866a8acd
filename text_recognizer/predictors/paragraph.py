"""ParagraphTextRecognizer: finds the lines of a page or paragraph and reads them."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.transcribed.page_images import box_outline, cut_out
from text_recognizer.errors import DataError
from text_recognizer.images.grey import MOST_PIXELS
from text_recognizer.images.line_form import UnfitImageError, median_of, with_dark_ink
from text_recognizer.images.line_steps import STEPS, Grey
from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.images.straighten import Points
from text_recognizer.layout.columns import in_reading_order
from text_recognizer.layout.find_lines import find_lines
from text_recognizer.layout.shapes import FoundLine
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.models.line_detector import LineDetectorModel
from text_recognizer.models.prediction import Prediction, ReadPart
from text_recognizer.predictors.line import DEFAULT_BUNDLE, LinePredictor
from text_recognizer.reading_order import has_right_to_left, runs_right_to_left

Box = tuple[int, int, int, int]

_LONGEST_SIDE = math.isqrt(MOST_PIXELS)  # of a page at full resolution; its square has no more pixels
MARGIN_FRACTION = 0.15  # margin around a line's box in line heights: detectors cut off tips of letters

_MARGIN_OF_PAGE = 0.05  # of its width; the datasets of pages show 50 pixels around the lines
_STEEP = 20.0  # degrees: steeper lines may run in either direction
_SOME_LINES = 3  # the longest lines, to check whether a page is upside down
_SURE = 0.8  # confidence per character; on 22 upside-down pages, the reader had at most 0.78
_FEWEST_CHARACTERS = 0.5  # per line height of length; on 22 pages, lines of text have at least 1.1
_USUAL_CHARACTERS = 1.0  # if half of the lines have fewer, the reader does not know the writing
_CLEARLY = 0.02  # required gain in confidence to rotate level lines
_DOUBTFUL = 0.1  # difference for some lines below which all are compared: 0.04 on 100 pages, half in shadow


@dataclass(frozen=True)
class LineOfText:
    """One line of a page.

    Args:
        box: left, top, right, bottom in pixels of the image, ends excluded.
        baseline, polygon: its baseline and the outline of its ink; empty if the detector finds only boxes.
        line_px: width of the line image that was read, the coordinate system of its characters and words.
    """

    box: Box
    prediction: Prediction
    baseline: Points = ()
    polygon: Points = ()
    line_px: int = 0

    def placed(self, parts: Sequence[ReadPart]) -> list[tuple[ReadPart, Box]]:
        """Characters or words of the line with their boxes in the image; approximate if the line slopes."""
        left, top, right, bottom = self.box
        across, down = np.subtract(self.baseline[-1], self.baseline[0]) if self.baseline else (1.0, 0.0)
        is_upright = abs(down) > abs(across)
        first, last = (top, bottom) if is_upright else (left, right)
        if (down if is_upright else across) < 0:
            first, last = last, first
        found = []
        for one in parts:
            ends = (first + round(px * (last - first) / max(self.line_px, 1)) for px in (one.left_px, one.right_px))
            low, high = sorted(ends)
            found.append((one, (left, low, right, high) if is_upright else (low, top, high, bottom)))
        return found


@dataclass(frozen=True)
class PageReading:
    """The reading of a page, in reading order; a blank page has no lines.

    Args:
        width, height: size of the image in pixels.
    """

    lines: tuple[LineOfText, ...]
    width: int = 0
    height: int = 0

    @property
    def text(self) -> str:
        return "\n".join(line.prediction.text for line in self.lines)


def lines_of_text(
    found: Sequence[FoundLine], prepared: Sequence[Grey], predictions: Sequence[Prediction]
) -> tuple[LineOfText, ...]:
    """The readings of lines, each an image (H, W), without lines that are hardly text.

    If most lines have many characters for their length, one with very few is a rule, a stamp or squared paper.
    """
    lines, characters = [], []
    for line, picture, prediction in zip(found, prepared, predictions, strict=True):
        height, width = picture.shape[:2]
        lines.append(LineOfText(line.box, prediction, line.baseline, line.polygon, width))
        characters.append(len(prediction.text.strip()) * height / width)
    fewest = _FEWEST_CHARACTERS if lines and np.median(characters) >= _USUAL_CHARACTERS else 0
    return tuple(line for line, number in zip(lines, characters, strict=True) if number >= fewest)


def _loaded(detector: Bundle) -> LineDetectorModel:
    if detector.data_spec.target == "pixels" and isinstance(model := detector.load_to_read(), LineDetectorModel):
        return model
    raise DataError(f"the bundle {detector.folder} does not find lines.")


class ParagraphTextRecognizer:
    """Finds the lines of a page and reads them. Raises DataError: a bundle is missing, or does something else.

    Args:
        detector: finds the lines: a bundle or its folder, a run folder, or the name of a promoted model. None finds
            them without training.
        reader: likewise, or a predictor; reads them. By default the included reader.
        alternatives: number of readings to list per line; see LinePredictor.
    """

    def __init__(
        self,
        detector: Bundle | str | Path | None = None,
        reader: LinePredictor | Bundle | str | Path = DEFAULT_BUNDLE,
        alternatives: int | None = None,
    ) -> None:
        self.detector = None if detector is None else find_bundle(detector)
        self._model = None if self.detector is None else _loaded(self.detector)
        self.reader = reader if isinstance(reader, LinePredictor) else LinePredictor(reader, alternatives)
        alphabet = "".join(self.reader.bundle.data_spec.classes)
        self._right_to_left = has_right_to_left(alphabet) and runs_right_to_left(alphabet)

    def predict(self, image: ImageSource) -> PageReading:
        """Lines of an image: array, path, open file or bytes; dark or light ink. Raises DataError: it is unreadable."""
        page = read_image(image)
        found = self.prepared_lines(page)
        pictures = [prepared for _, prepared in found]
        read = lines_of_text([line for line, _ in found], pictures, self.reader.predict_prepared(pictures))
        return PageReading(read, *page.shape[::-1])

    def prepared_lines(self, page: Grey) -> list[tuple[FoundLine, Grey]]:
        """The lines of a page (H, W), each in the form that the reader expects.

        To detect upside-down pages, some lines are read both ways, unless they are level and read well.
        """
        found = self._prepared_lines(page)
        is_steep = _is_on_its_side([line for line, _ in found])
        if not found or not self._is_upside_down([prepared for _, prepared in found], is_steep):
            return found
        turned = self._prepared_lines(page[::-1, ::-1])
        return [(_turned_around(line, page.shape), prepared) for line, prepared in turned]

    def _is_upside_down(self, lines: Sequence[Grey], is_steep: bool) -> bool:
        some = sorted(lines, key=lambda one: one.shape[1])[-_SOME_LINES:]
        sureness = self._sureness(some)
        if sureness >= _SURE and not is_steep:
            return False
        gain = self._sureness(map(_upside_down, some)) - sureness
        if abs(gain) < _DOUBTFUL and len(some) < len(lines):
            gain = self._sureness(map(_upside_down, lines)) - self._sureness(lines)
        return gain > (0 if is_steep else _CLEARLY)

    def _sureness(self, lines: Iterable[Grey]) -> float:
        read = self.reader.predict_prepared(list(lines))
        return float(np.mean([one.sureness for one in read])) if read else 0.0

    def _prepared_lines(self, page: Grey) -> list[tuple[FoundLine, Grey]]:
        found, steep_only = [], not self.reader.bundle.data_spec.straightened  # otherwise cut as in training
        for line in self.find_lines(page):
            outline = line.polygon or box_outline(*line.box)
            with suppress(DataError, UnfitImageError):  # a box without any ink
                found.append((line, self.reader.prepared(cut_out(page, outline, True, line.baseline, steep_only))))
        return found

    def find_lines(self, page: Grey) -> list[FoundLine]:
        """The lines of a page (H, W) in reading order, with a margin around their boxes."""
        found = find_lines(page, self._right_to_left) if self._model is None else self._by_the_model(page)
        boxes = np.array([line.box for line in found]).reshape(-1, 4)
        margin = MARGIN_FRACTION * (boxes[:, 3:] - boxes[:, 1:2])
        height, width = page.shape
        grown = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
        inside = np.rint(np.clip(grown, 0, [width, height, width, height])).astype(int)
        return [
            replace(line, box=(left, top, right, bottom))
            for line, (left, top, right, bottom) in zip(found, inside.tolist(), strict=True)
            if right > left and bottom > top
        ]

    def _by_the_model(self, page: Grey) -> list[FoundLine]:
        """The lines of a page (H, W), cropped above and below its text like the pages that detectors are trained on.

        If less than half of its height is written on, they miss more lines than the method without training.
        """
        dark_on_light = with_dark_ink(page)
        if dark_on_light is None:
            return []
        height, width = page.shape
        untrained = find_lines(dark_on_light, self._right_to_left)
        found = self._by_the_model_in(dark_on_light, 0, height)
        boxes = np.array([line.box for line in (*untrained, *found)]).reshape(-1, 4)
        if not len(boxes):
            return []
        margin = _MARGIN_OF_PAGE * width
        first, last = max(0, int(boxes[:, 1].min() - margin)), min(height, int(boxes[:, 3].max() + margin))
        if last - first < height:
            found = self._by_the_model_in(dark_on_light, first, last)
        is_hardly_written_on = last - first < height / 2
        return untrained if is_hardly_written_on and len(untrained) >= len(found) else found

    def _by_the_model_in(self, page: Grey, first: int, last: int) -> list[FoundLine]:
        """The lines in some rows of a page (H, W) of dark ink on light paper."""
        assert self.detector is not None
        assert self._model is not None
        small, scale, (left, top) = as_square(page[first:last], self.detector.data_spec)

        def on_page(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return points * scale - [left, top - first]

        shapes = in_reading_order(self._model.find_lines(small[None])[0], self._right_to_left)
        return [shape.on_page(on_page, page.shape) for shape in shapes]


def _is_on_its_side(lines: Sequence[FoundLine]) -> bool:
    courses = [np.subtract(line.baseline[-1], line.baseline[0]) for line in lines if line.baseline]
    slopes = [math.degrees(math.atan2(abs(down), abs(across))) for across, down in courses]
    return bool(slopes) and float(np.median(slopes)) > _STEEP


def _upside_down(prepared: Grey) -> Grey:
    return np.ascontiguousarray(prepared[::-1, ::-1])


def _turned_around(line: FoundLine, shape: tuple[int, ...]) -> FoundLine:
    """Maps a line of an upside-down page (H, W) to the page itself."""
    height, width = shape
    left, top, right, bottom = line.box
    baseline, polygon = (tuple((width - x, height - y) for x, y in one) for one in (line.baseline, line.polygon))
    return FoundLine((width - right, height - bottom, width - left, height - top), baseline, polygon)


def as_square(page: Grey, data_spec: DataSpec) -> tuple[Grey, float, tuple[int, int]]:
    """A page in the form of a detector's dataset.

    Args:
        page: (H, W), dark ink on light paper.
    Returns:
        (S, S, 1); pixels of the page per pixel of the square; how much paper was added on the left and above.
    """
    from PIL import Image

    size = data_spec.input_shape[0]
    factor = math.ceil(max(page.shape) / _LONGEST_SIDE)
    if factor > 1:
        page = np.asarray(Image.fromarray(page).reduce(factor))
    height, width = page.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side), int(median_of(np.array(Image.fromarray(page).histogram()))), np.uint8)
    square[top : top + height, left : left + width] = page
    small = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BOX))
    for step in data_spec.preprocessing:
        small = STEPS[step](small)
    shown = np.invert(small) if data_spec.ink == "light" else small
    return shown[..., None], factor * side / size, (factor * left, factor * top)
