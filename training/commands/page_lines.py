"""Cuts lines of pages into image files: those given by XML files, or found ones."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from text_recognizer.datasets.remote.fetch import disk_errors
from text_recognizer.datasets.storage.parallel import progress
from text_recognizer.datasets.transcribed.page_images import box_outline, cut_out
from text_recognizer.errors import DataError
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.images.line_steps import Grey
from text_recognizer.images.read import png_bytes, read_image
from text_recognizer.predictors.given_page import cut_as_read, page_given_by
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.paragraph import ParagraphTextRecognizer
from training.commands.predict_sources import Source

_Line = Callable[[], Grey]  # raises DataError, UnfitImageError: there is no image


def cut_lines(pages: Sequence[Source], folder: Path, reader: LinePredictor) -> tuple[list[Path], dict[str, str]]:
    """Writes the lines of pages as PNG files, cut as in the reader's dataset.

    Returns:
        the files, and the reasons for missing pages and lines.
    """
    made: list[Path] = []
    problems: dict[str, str] = {}
    with disk_errors(folder), progress("pages", len(pages), "page") as done:
        folder.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(pages):
            try:
                for name, line in _lines(page, reader):
                    file = folder / f"{number}-{page.place.name}-{name}.png"
                    try:
                        file.write_bytes(png_bytes(line()))
                        made.append(file)
                    except (DataError, UnfitImageError) as error:
                        problems[f"{page.name}#{name}"] = str(error)
            except DataError as error:
                problems[page.name] = str(error)
            done(1)
    return made, problems


def _lines(page: Source, reader: LinePredictor) -> Iterator[tuple[int, _Line]]:
    """The lines of a page, counted from 1. Raises DataError: it cannot be read, or has none."""
    data_spec = reader.bundle.data_spec
    if page.is_xml and page.path is not None:
        given = cut_as_read(page_given_by(page.path), data_spec)
        for position in range(len(given.samples)):
            yield position + 1, partial(given.read, position)
        return
    image = read_image(page.image(()))
    for number, (line, _) in enumerate(ParagraphTextRecognizer(reader=reader).prepared_lines(image), 1):
        outline = line.polygon or box_outline(*line.box)
        how = {"steep_only": not data_spec.straightened, "is_directed": True}
        yield number, partial(cut_out, image, outline, baseline=line.baseline, **how)
