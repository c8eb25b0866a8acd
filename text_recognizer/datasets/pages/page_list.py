"""Pages in one image file each, with a list of their lines, for line detectors."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats.line_lists import SPLITS, read_json
from text_recognizer.datasets.formats.page_xml import PageLine, PageText
from text_recognizer.datasets.pages.base import ParagraphDataset
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.transcribed.alto_files import ArchivePage, compiled_pattern, writer_of
from text_recognizer.datasets.transcribed.page_images import box_outline
from text_recognizer.errors import DataError
from text_recognizer.images.grey import SUFFIXES
from text_recognizer.settings import given_path
from text_recognizer.wording import received

_SIDES = ("x1", "y1", "x2", "y2")


@dataclass(eq=False, repr=False)
class PageListDataset(ParagraphDataset):
    """Pages and a JSON list of their lines.

    The list is an object of pages by name: {"page7": {"width": 791, "height": 1024, "lines": [{"x1": 130, "y1": 214,
    "x2": 685, "y2": 256, "text": "…"}]}}; a page may have "split" and "writer". Boxes are in pixels of an image of
    that width and height.

    Args:
        path: of the list.
        image_folder: where the images are, under the names of the pages; by default pages or images beside the list,
            or its own folder.
        writer_pattern: a regular expression that finds the writer in the name of a page, as of AltoLinesDataset.
    """

    path: str
    image_folder: str | None = None
    writer_pattern: str | None = None

    def __post_init__(self) -> None:
        self._path = given_path(self.path)
        self._pattern = compiled_pattern(self.writer_pattern)

    def depends_on(self) -> dict[str, Any]:
        return {
            "list": str(self._path.absolute()),
            "files": state_of_files([self._path, *(page.image for page in self.pages())]),
            "writer_pattern": self.writer_pattern or None,
        }

    def pages(self) -> Iterator[ArchivePage]:
        beside = self._path.parent
        given = [given_path(self.image_folder)] if self.image_folder else [beside / "pages", beside / "images"]
        folder = next((one for one in given if one.is_dir()), beside)
        for name, value in self._listed.items():
            try:
                yield self._page(str(name), value, folder)
            except DataError as error:  # it has no writer
                yield ArchivePage(str(name), PageText(), folder / str(name), problem=str(error))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                problem = f"its entry is not like that of a page with lines: {type(error).__name__}: {error}"
                yield ArchivePage(str(name), PageText(), folder / str(name), problem=problem)

    def _page(self, name: str, value: Mapping[str, Any], folder: Path) -> ArchivePage:
        lines = tuple(
            PageLine("", str(line.get("text", "")), box_outline(*(float(line[key]) for key in _SIDES)))
            for line in value["lines"]
        )
        split = str(value.get("split", "")).lower()
        names = [name, *(f"{name}{suffix}" for suffix in SUFFIXES)]
        return ArchivePage(
            name,
            PageText("", float(value.get("width", 0)), float(value.get("height", 0)), lines),
            next((folder / one for one in names if os.path.isfile(folder / one)), folder / f"{name}.jpg"),  # noqa: PTH113
            str(value.get("writer") or writer_of(name, self._pattern)),
            SPLITS[split] if split else "",
        )

    @cached_property
    def _listed(self) -> dict[str, Any]:
        value = read_json(self._path)
        if not isinstance(value, dict):
            raise DataError(f"{self._path} must hold an object of pages by name. {received(value)}")
        return value
