"""Finds the pages of an archive: ALTO, PAGE XML or hOCR files, their images, writers and splits."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.formats.line_lists import SPLITS, refuse_packed
from text_recognizer.datasets.formats.page_xml import OfDocumentError, PageText, read_pages
from text_recognizer.datasets.line_source import LineSample
from text_recognizer.datasets.storage.file_states import files_below, named_file, state_of_files
from text_recognizer.datasets.transcribed.page_images import LinesOfPage
from text_recognizer.errors import DataError, SpecError, reason
from text_recognizer.images.grey import SUFFIXES, pages_of_tiff
from text_recognizer.settings import given_path
from text_recognizer.wording import did_you_mean, received

_OF_TRANSKRIBUS = ("page", "alto")  # folders of Transkribus for XML files, beside the images

WHOLE_REGION = "its text is not divided into lines (TextLine)"


@dataclass(frozen=True)
class ArchivePage:
    """A page with its files, of XML or others.

    Args:
        name: of an XML file, that with the folders below the archive's and without its ending.
        image: path of the image, whether or not it exists.
        group: the writer, or the page itself, which must not be in two splits; "" if unknown.
        problem, common: why the page cannot be used, if already known; and `common` of that error.
        frame: the page's in its image file, if that has several.
    """

    name: str
    text: PageText
    image: Path
    group: str = ""
    split: SplitName | Literal[""] = ""
    problem: str = ""
    common: str = ""
    frame: int | None = None

    def cut(self, along_outline: bool = True, steep_only: bool = False, alphabet: str = "") -> LinesOfPage:
        """The lines, to be cut out of the image; arguments: see LinesOfPage."""
        size, lines = (self.text.width, self.text.height), self.text.lines
        problems = ("" if line.outline else "it has no outline" for line in lines)
        samples = tuple(
            LineSample(f"{self.name}#{line.name}", line.text, self.group, self.split, problem)
            for line, problem in zip(lines, problems, strict=True)
        )
        outlines, baselines = tuple(line.outline for line in lines), tuple(line.baseline for line in lines)
        return LinesOfPage(
            samples, self.image, outlines, *size, along_outline, baselines, steep_only, alphabet, self.frame
        )


class AltoFiles:
    """The XML files below a folder, or one of them; its arguments are those of AltoLinesDataset."""

    def __init__(
        self, path: str, image_folder: str | None, line_types: tuple[str, ...] | None, writer_pattern: str | None
    ) -> None:
        self.path = given_path(path)
        self.image_folder = given_path(image_folder).absolute() if image_folder else None
        self.line_types = line_types
        self.writer_pattern = compiled_pattern(writer_pattern)

    @property
    def key(self) -> dict[str, object]:
        """What the texts depend on."""
        return {
            "path": str(self.path.absolute()),
            "files": state_of_files(self.files),
            "image_folder": str(self.image_folder),
            "line_types": self.line_types,
            "writer_pattern": self.writer_pattern.pattern if self.writer_pattern else None,
        }

    @property
    def image_state(self) -> str:
        """Changes when an image does. Raises DataError: no page has one."""
        if lacking := self.lacking_images():
            raise DataError(lacking)
        return state_of_files(page.image for page in self.pages)

    def lacking_images(self) -> str:
        """What to do if none of the pages has an image; "" if one has."""
        pages = self.pages
        first = next((page for page in pages if page.text.lines), None)
        if first is None or any(os.path.isfile(page.image) for page in pages):  # noqa: PTH113 - any name
            return ""
        return (
            f"none of the images of the pages in {self.path} was found: the image of '{first.name}' is not at "
            f"{first.image}. dataset_args.image_folder names the folder of the images."
        )

    @cached_property
    def files(self) -> list[Path]:
        """The XML files by name, also those called .XML; then the hOCR files of other pages.

        Raises:
            DataError: there are none.
        """
        if self.path.is_file():
            refuse_packed([self.path])
            return [self.path]
        below = files_below(self.path)
        found = [one for one in below if one.suffix.lower() == ".xml"]
        stems = {one.with_suffix("") for one in found}
        found += [one for one in below if one.suffix.lower() == ".hocr" and one.with_suffix("") not in stems]
        if not found:
            refuse_packed(below)
            raise DataError(f"{self.path} holds no ALTO or PAGE XML files (*.xml) and no hOCR files (*.hocr).")
        return found

    @cached_property
    def pages(self) -> list[ArchivePage]:
        """The pages by name; for a file that cannot be read or has no writer, a page with a problem.

        Files about a whole document, which Transkribus and eScriptorium write beside those of its pages, are left out.

        Raises:
            DataError: there are none, or no line is of the requested types.
        """
        pages = [page for file in self.files for page in self._pages_of(file)]
        if not pages:
            raise DataError(f"{self.path} holds files about whole documents ({self.files[0].name}) but none of pages.")
        if self.line_types is None:
            return pages
        kinds = {line.kind for page in pages for line in page.text.lines}
        if kinds and not kinds & {*self.line_types}:
            first, known = self.line_types[0] if self.line_types else "", sorted(kinds - {""})
            raise DataError(
                f"{self.path} has no lines of dataset_args.line_types.{did_you_mean(first, known)} "
                f"{received(list(self.line_types))} Its lines have the types: {', '.join(known) or 'none'}."
            )
        return [replace(page, text=_with_types(page.text, self.line_types)) for page in pages]

    def _pages_of(self, file: Path) -> Iterator[ArchivePage]:
        """The pages of a file. Those of several in one image file, a TIFF, are its pages, in that order."""
        name = file.stem if self.path.is_file() else file.relative_to(self.path).with_suffix("").as_posix()
        texts, writer, problem, common = [PageText()], "", "", ""
        try:
            texts, writer = read_pages(file), writer_of(file.stem, self.writer_pattern)
        except OfDocumentError as error:
            if not self.path.is_file():
                return
            problem = reason(error)
        except DataError as error:
            problem, common = reason(error), error.common
        images = [self.image_of(file, text) for text in texts]
        frames: list[int] | list[None] = [None] * len(texts)
        if len({*images}) < len(texts) and os.path.isfile(images[0]):  # noqa: PTH113 - any name
            frames = pages_of_tiff(images[0]) or [0]
            if len(frames) != len(texts):
                counts = f"its file holds {len(texts)} pages, its image {len(frames)}"
                problem = f"{counts}: {images[0]}. Write a file for each page"
                texts, frames = [PageText()], [None]
        for number, (text, image, frame) in enumerate(zip(texts, images, frames, strict=False), start=1):
            mark = f"-{number}" if len(texts) > 1 else ""
            group = writer if self.writer_pattern or not writer else writer + mark  # the page itself
            why = problem or _problem_of(text, image)
            yield ArchivePage(name + mark, text, image, group, self._split(file), why, common, frame)

    def image_of(self, file: Path, page: PageText) -> Path:
        """The path of the image of a page, which may not exist."""
        folders = [file.parent]
        if file.parent.name in _OF_TRANSKRIBUS:
            folders.append(file.parent.parent)
        if self.image_folder is not None:  # often at the same depth as the XML file
            below = "." if self.path.is_file() else file.parent.relative_to(self.path)
            folders = [self.image_folder / below, self.image_folder]
        named = page.image.replace("\\", "/")
        names = [named, Path(named).name, unquote(Path(named).name)] if named else []
        names += [f"{file.stem}{suffix}" for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
        places = [(folder, name) for folder in folders for name in names]
        places += [(file.parent.parent, named)] * ("/" in named)  # in an OCR-D workspace, relative to it
        found = next((one for one in starmap(named_file, places) if os.path.isfile(one)), None)  # noqa: PTH113 - any name
        return found or folders[-1] / (Path(named).name or f"{file.stem}.jpg")

    def _split(self, file: Path) -> SplitName | Literal[""]:
        folders = file.relative_to(self.path).parts[:-1] if not self.path.is_file() else ()
        return next((SPLITS[folder.lower()] for folder in folders if folder.lower() in SPLITS), "")


def _problem_of(text: PageText, image: Path) -> str:
    if text.whole_regions and not text.lines:
        return WHOLE_REGION
    is_there = os.path.isfile(image)  # noqa: PTH113 - any name
    return "" if is_there else f"the image file is missing: {image}"


def _with_types(text: PageText, types: tuple[str, ...]) -> PageText:
    return replace(text, lines=tuple(line for line in text.lines if line.kind in types))


def compiled_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """The argument writer_pattern of a dataset. Raises SpecError: it is not a regular expression."""
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise SpecError(f"writer_pattern is not a regular expression: {reason(error)}. {received(pattern)}") from None


def writer_of(name: str, pattern: re.Pattern[str] | None) -> str:
    """The writer in a page's name: the first group of the pattern, or its match; without a pattern the name itself.

    Raises:
        DataError: no match, or an empty one: lines without a writer could be in several splits.
    """
    if pattern is None:
        return name
    found = pattern.search(name)
    if writer := found and (found[1] if pattern.groups and found[1] is not None else found[0]):
        return writer
    raise DataError(
        f"dataset_args.writer_pattern {pattern.pattern!r} finds no writer in its name: it must match at least one "
        f"character, for example with + instead of * or ?."
    )
