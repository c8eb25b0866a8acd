"""Pages in image files of their own, with a list of the lines that are on them, for detectors of lines."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.base import Fraction, SubsampleFraction
from text_recognizer.datasets.formats.line_lists import SPLITS, read_text
from text_recognizer.datasets.pages.base import Margin, PageSource, PageStep, ParagraphDataset, Side
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.transcribed.alto_files import writer_of
from text_recognizer.datasets.transcribed.page_images import box_outline
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.grey import SUFFIXES
from text_recognizer.json_text import parse_json_text
from text_recognizer.wording import received


class PageListDataset(ParagraphDataset):
    """Pages and a JSON list of their lines; light ink; lines are background (0), odd (1) or even (2).

    The list is an object of pages by name: {"page7": {"width": 791, "height": 1024, "lines": [{"x1": 130, "y1": 214,
    "x2": 685, "y2": 256, "text": "…"}]}}; a page may have "split" and "writer". Boxes are in pixels of a picture of
    that width and height.

    Args:
        path: of the list.
        image_folder: where the pictures are, under the names of the pages; by default pages or images beside the list,
            or its own folder.
        writer_pattern: a regular expression that finds the writer in the name of a page; see AltoLinesDataset.
        side: of a picture, in pixels.
        margin: of page around the lines, in pixels of the page's image.
        preprocessing: steps in their order: "illumination", "contrast"; see images.line_form.
        validation_fraction, test_fraction: of the pages, whole writers where they are known.
        subsample_fraction: keep this share of the pages of every split, chosen at random.
    """

    def __init__(
        self,
        path: str,
        image_folder: str | None = None,
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
        self.path = Path(path).expanduser()
        self.image_folder = Path(image_folder).expanduser() if image_folder else None
        try:
            self.writer_pattern = re.compile(writer_pattern) if writer_pattern else None
        except re.error as error:
            problem = f"writer_pattern is no regular expression: {error}. {received(writer_pattern)}"
            raise SpecError(problem) from None

    def source(self) -> dict[str, Any]:
        return {
            "list": str(self.path.absolute()),
            "files": state_of_files([self.path, *(page.path for page in self.pages())]),
            "writer_pattern": self.writer_pattern.pattern if self.writer_pattern else None,
        }

    def pages(self) -> Iterator[PageSource]:
        folders = (
            [self.image_folder] if self.image_folder else [self.path.parent / "pages", self.path.parent / "images"]
        )
        folder = next((one for one in folders if one.is_dir()), self.path.parent)
        for name, value in self._listed.items():
            try:
                yield self._page(str(name), value, folder)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                problem = f"its entry is not like that of a page with lines: {type(error).__name__}: {error}"
                yield PageSource(str(name), folder / str(name), (), problem=problem)

    def _page(self, name: str, value: Mapping[str, Any], folder: Path) -> PageSource:
        lines = tuple(
            (box_outline(*(float(line[key]) for key in ("x1", "y1", "x2", "y2"))), str(line.get("text", "")))
            for line in value["lines"]
        )
        split = str(value.get("split", "")).lower()
        names = [name, *(f"{name}{suffix}" for suffix in SUFFIXES)]
        return PageSource(
            name,
            next((folder / one for one in names if os.path.isfile(folder / one)), folder / f"{name}.jpg"),  # noqa: PTH113
            lines,
            float(value.get("width", 0)),
            float(value.get("height", 0)),
            str(value.get("writer") or writer_of(name, self.writer_pattern)),
            SPLITS[split] if split else "",
        )

    @cached_property
    def _listed(self) -> dict[str, Any]:
        try:
            value = parse_json_text(read_text(self.path))
        except ValueError as error:
            raise DataError(f"{self.path} is not JSON: {error}.") from None
        if not isinstance(value, dict):
            raise DataError(f"{self.path} must hold an object of pages by name. {received(value)}")
        return value
