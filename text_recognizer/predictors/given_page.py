"""Reads pages with lines given in ALTO or PAGE XML, and writes the texts into these files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.formats.page_xml import OtherFormatError, PageText, read_pages
from text_recognizer.datasets.transcribed.alto_files import AltoFiles, ArchivePage
from text_recognizer.datasets.transcribed.page_images import LinesOfPage, in_pixels, page_scale
from text_recognizer.errors import DataError, reason
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.predictors.filled_xml import filled
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.paragraph import Box, LineOfText, PageReading
from text_recognizer.wording import shell_word


@dataclass(frozen=True)
class GivenPage:
    """The reading of a page with the lines of its XML file.

    Args:
        image: path of its image.
        lines: one per line of the file, in its order; None for unreadable ones.
        problems: reasons for unreadable lines.
        old_texts: the texts of all lines in the file.
        size_px: width and height of the image.
        unit_px: pixels per unit of the file.
        format: "alto" or "page".
    """

    path: Path
    image: Path
    lines: tuple[LineOfText | None, ...]
    problems: tuple[str, ...]
    old_texts: tuple[str, ...]
    size_px: tuple[int, int]
    unit_px: float
    format: str

    @property
    def reading(self) -> PageReading:
        return PageReading(tuple(line for line in self.lines if line is not None), *self.size_px)

    def filled(self) -> bytes:
        """The XML file with the texts replaced. Raises DataError: the file has changed since it was read."""
        return filled(self.path, self.lines, self.unit_px, self.old_texts)


def read_given_page(path: Path, reader: LinePredictor) -> GivenPage:
    """Reads an ALTO or PAGE file's lines, its image beside it. Raises DataError: one is unreadable, or no lines."""
    page = page_given_by(path)
    try:
        image = read_grey(page.image)
        scale = page_scale(image, page.text.width, page.text.height, page.image)
    except (DataError, UnfitImageError) as error:
        raise _unreadable(path, reason(error)) from None
    lines, problems = _read_lines(page, reader, scale)
    height, width = image.shape
    old_texts = tuple(line.text for line in page.text.lines)
    return GivenPage(path, page.image, lines, problems, old_texts, (width, height), scale, page.text.format)


def image_given_by(path: Path) -> Path | None:
    """The path of an XML file's image, which may not exist; None if the file is not ALTO or PAGE, unless damaged."""
    try:
        text = read_pages(path)[0]
    except OtherFormatError:
        return None
    except DataError:
        text = PageText()
    return None if text.format == "hocr" else _files(path).image_of(path, text)


def page_given_by(path: Path) -> ArchivePage:
    """The page of an XML file, with lines. Raises DataError: it cannot be read, or has none."""
    if not path.is_file():
        raise DataError(f"there is no XML file {path}.", common="there is no XML file")
    page, *others = _files(path).pages
    look = f"text-recognizer predict {shell_word(page.image)} --pages"
    if others:
        raise _unreadable(path, f"it holds {1 + len(others)} pages. Write a file for each page")
    if page.text.format == "hocr":
        raise DataError(f"{path} is hOCR, whose lines are not read. Read its image instead: {look}.")
    if not page.text.lines and (page.text.whole_regions or not page.problem):
        raise DataError(
            f"{path} gives no lines (<TextLine>). Read its image instead, whose lines are then found: {look}."
        )
    if page.problem:
        raise _unreadable(path, page.problem, page.common)
    return page


def cut_as_read(page: ArchivePage, data_spec: DataSpec) -> LinesOfPage:
    """The lines of a page, cut out as the dataset of their reader does."""
    return page.cut(steep_only=not data_spec.straightened, alphabet="".join(data_spec.classes))


def _unreadable(path: Path, why: str, common: str = "") -> DataError:
    return DataError(f"{path} cannot be read: {why}.", common=common or why)


def _files(path: Path) -> AltoFiles:
    return AltoFiles(str(path), None, None, None)


def _read_lines(
    page: ArchivePage, reader: LinePredictor, scale: float
) -> tuple[tuple[LineOfText | None, ...], tuple[str, ...]]:
    given = page.text.lines
    source = cut_as_read(page, reader.bundle.data_spec)
    prepared, problems = {}, []
    for position, sample in enumerate(source.samples):
        try:
            if sample.problem:
                raise UnfitImageError(sample.problem)
            prepared[position] = reader.prepared(source.read(position))
        except (UnfitImageError, DataError) as error:
            problems.append(f"line '{given[position].name}' is left as it is: {error}")
    predictions = dict(zip(prepared, reader.predict_prepared(list(prepared.values())), strict=True))
    lines = tuple(
        LineOfText(
            _box(in_pixels(line.outline, scale)),
            predictions[position],
            in_pixels(source.course(position), scale),
            in_pixels(line.outline, scale),
            prepared[position].shape[1],
        )
        if position in predictions
        else None
        for position, line in enumerate(given)
    )
    return lines, tuple(problems)


def _box(outline: tuple[tuple[float, float], ...]) -> Box:
    left, top = np.floor(np.min(outline, axis=0)).astype(int).tolist()
    right, bottom = np.ceil(np.max(outline, axis=0)).astype(int).tolist()
    return left, top, right, bottom
