"""Pages that were transcribed in ALTO or PAGE XML, with the lines marked, for detectors of lines."""

from collections.abc import Iterator
from typing import Any

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.base import Fraction, SubsampleFraction
from text_recognizer.datasets.pages.base import Margin, PageSource, PageStep, ParagraphDataset, Side
from text_recognizer.datasets.transcribed.alto_files import AltoFiles


class AltoParagraphsDataset(ParagraphDataset):
    """The written parts of scanned pages; light ink; lines are background (0), odd (1) or even (2).

    Args:
        path, image_folder, line_types, writer_pattern: see datasets.alto_lines.AltoLinesDataset.
        side: of a picture, in pixels.
        margin: of page around the lines, in pixels of the page's image.
        preprocessing: steps in their order: "illumination", "contrast"; see images.line_form.
        validation_fraction, test_fraction: of the pages, whole writers where a pattern finds them.
        subsample_fraction: keep this share of the pages of every split, chosen at random.
    """

    def __init__(
        self,
        path: str,
        image_folder: str | None = None,
        line_types: tuple[str, ...] | None = None,
        writer_pattern: str | None = None,
        side: Side = 256,
        margin: Margin = 50,
        preprocessing: tuple[PageStep, ...] = ("contrast",),
        validation_fraction: Fraction = 0.1,
        test_fraction: Fraction = 0.1,
        subsample_fraction: SubsampleFraction | None = None,
    ) -> None:
        fractions: dict[SplitName, float] = {"validation": validation_fraction, "test": test_fraction}
        super().__init__(side, margin, preprocessing, fractions, subsample_fraction)
        self.files = AltoFiles(path, image_folder, line_types, writer_pattern)

    def source(self) -> dict[str, Any]:
        return {**self.files.key, "images": self.files.image_state}

    def pages(self) -> Iterator[PageSource]:
        for page in self.files.pages:
            lines = tuple((line.outline, line.text) for line in page.text.lines)
            yield PageSource(
                page.name,
                page.image,
                lines,
                page.text.width,
                page.text.height,
                page.group,
                page.split,
                page.problem,
            )
