"""Pages that were transcribed in ALTO or PAGE XML, with the lines marked, for detectors of lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from text_recognizer.datasets.pages.base import PageSource, ParagraphDataset
from text_recognizer.datasets.transcribed.alto_files import AltoFiles


@dataclass(eq=False, repr=False)
class AltoParagraphsDataset(ParagraphDataset):
    """The written parts of scanned pages.

    Args:
        path, image_folder, line_types, writer_pattern: see datasets.lines.alto_lines.AltoLinesDataset.
        side, margin, preprocessing, marks, validation_fraction, test_fraction, subsample_fraction, partial_pages: see
            datasets.pages.base.ParagraphDataset.
    """

    path: str
    image_folder: str | None = None
    line_types: tuple[str, ...] | None = None
    writer_pattern: str | None = None

    def __post_init__(self) -> None:
        self.files = AltoFiles(self.path, self.image_folder, self.line_types, self.writer_pattern)

    def depends_on(self) -> dict[str, Any]:
        return {**self.files.key, "images": self.files.image_state}

    def pages(self) -> Iterator[PageSource]:
        for page in self.files.pages:
            lines = tuple((line.outline, line.text) for line in page.text.lines)
            size = (page.text.width, page.text.height)
            yield PageSource(page.name, page.image, lines, *size, page.group, page.split, page.problem)
