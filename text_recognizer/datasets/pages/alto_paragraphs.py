"""Pages that were transcribed in ALTO, PAGE XML or hOCR, with marked lines, for line detectors."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from text_recognizer.datasets.pages.base import ParagraphDataset
from text_recognizer.datasets.transcribed.alto_files import AltoFiles, ArchivePage


@dataclass(eq=False, repr=False)
class AltoParagraphsDataset(ParagraphDataset):
    """The written parts of scanned pages.

    Args:
        path, image_folder, line_types, writer_pattern: as for AltoLinesDataset.
    """

    path: str
    image_folder: str | None = None
    line_types: tuple[str, ...] | None = None
    writer_pattern: str | None = None

    def __post_init__(self) -> None:
        self.files = AltoFiles(self.path, self.image_folder, self.line_types, self.writer_pattern)

    def depends_on(self) -> dict[str, Any]:
        return {**self.files.key, "images": self.files.image_state}

    def outlook(self) -> str | None:
        return self.files.lacking_images() or super().outlook()

    def pages(self) -> Iterable[ArchivePage]:
        return self.files.pages
