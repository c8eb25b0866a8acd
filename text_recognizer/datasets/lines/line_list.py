"""Lines in one image file each, with a list of their texts."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats.line_lists import SPLITS, LineList, find_lists, read_line_list, text_files
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.storage.file_states import named_file, state, state_of_files
from text_recognizer.errors import DataError
from text_recognizer.images.grey import SUFFIXES, read_grey
from text_recognizer.images.line_steps import Grey
from text_recognizer.settings import given_path
from text_recognizer.whole_files import sha256_of
from text_recognizer.wording import did_you_mean

GROUP_COLUMNS = ("writer", "author", "hand", "page", "document", "form")
_PLACES = ("", "lines", "images", "img")
_PROCESSED = (".bin", ".nrm")  # before the ending, in names of OCRopus: 1.bin.png, 1.nrm.png


@dataclass(frozen=True)
class ImageFile(LineSource):
    """One line in one file."""

    path: Path

    def read(self, position: int) -> Grey:  # noqa: ARG002 - there is one
        return read_grey(self.path)


@dataclass(eq=False, repr=False)
class LineListDataset(LineDataset):
    """Images of lines and a list of their texts.

    Lists can be a `sample.txt` (also the folders Train and Test with one each, as CRNN recognisers of the TensorFlow 1
    years have them), a table with a header (.tsv, .csv), objects (.json, .jsonl), or a text file for each image
    (`1.gt.txt` beside `1.png`). Columns: file or id, text, and as far as known split, writer, page.

    Args:
        path: the list, or a folder that contains one.
        image_folder: what file names are relative to; by default the list's folder, or lines or images in it, or the
            folder that holds Train and Test.
        group_by: the column whose values must not be in two splits, "line" for none; by default writer, page or the
            like, whichever comes first in the list of groups: writer, author, hand, page, document, form.
        encoding: of the list.
    """

    recipe_version = 3
    grouped_by = "group_by"

    path: str
    image_folder: str | None = None
    group_by: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._path = given_path(self.path)
        self._given_folder = given_path(self.image_folder).absolute() if self.image_folder else None

    def depends_on(self) -> dict[str, Any]:
        return {**self.texts_key, "pictures": state_of_files(source.path for source in self.sources())}

    @property
    def texts_key(self) -> dict[str, Any]:
        return {
            "lists": [str(file.absolute()) for file, _ in self._list_files],
            "content": [_version(file) for file, _ in self._list_files],
            "image_folder": str(self._given_folder),
            "group_by": self.group_by,
            "encoding": self.encoding,
        }

    @cached_property
    def _list_files(self) -> list[tuple[Path, str]]:
        return [(file, str(split)) for file, split in find_lists(self._path)]

    def sources(self) -> Iterator[ImageFile]:
        for file, split in self._list_files:
            lines = _read_list(file, self.encoding, _version(file))
            finder = _Finder(self._given_folder or _image_folder(lines))
            column = self._group_column(lines)
            prefix = f"{file.parent.name}/" if split else ""
            for line in lines.lines:
                sample = LineSample(
                    name=prefix + line.file,
                    text=line.text,
                    group=line.about.get(column, "") if column else "",
                    split=split or line.split,  # type: ignore[arg-type]
                    problem=line.problem,
                )
                yield ImageFile((sample,), finder.path(line.file))

    def _group_column(self, lines: LineList) -> str | None:
        if self.group_by == "line":
            return None
        columns = lines.columns
        if self.group_by is None:
            return next((column for column in GROUP_COLUMNS if column in columns), None)
        if self.group_by.lower() not in columns:
            raise DataError(
                f"{lines.path} has no column '{self.group_by}' to group by.{did_you_mean(self.group_by, columns)} "
                f'It has: {", ".join(columns) or "none but files and texts"}. "line" groups by nothing.'
            )
        return self.group_by.lower()


class _Finder:
    """Finds image files by the names in a list, which may lack endings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_stem: dict[Path, dict[str, str]] = {}

    def path(self, file: str) -> Path:
        path = named_file(self.folder, file.replace("\\", "/"))
        if path.suffix.lower() in SUFFIXES:
            return path
        return path.parent / self._names(path.parent).get(_composed(path.name), path.name)

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._by_stem:
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []  # noqa: PTH112, PTH208 - any name
            images = {_composed(Path(name).stem): name for name in names if name.lower().endswith(SUFFIXES)}
            processed = {Path(stem).stem: name for stem, name in images.items() if Path(stem).suffix in _PROCESSED}
            self._by_stem[folder] = processed | images
        return self._by_stem[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _image_folder(lines: LineList) -> Path:
    """The folder of the first files of a list; files of a list in a folder such as Train may be beside that folder."""
    folder = lines.path.parent
    is_of_split = folder.absolute().name.lower() in SPLITS
    beside = folder / os.pardir if folder.name in ("", os.pardir) else folder.parent
    places = [folder / place for place in _PLACES] + [beside] * is_of_split
    for line in lines.lines[:20]:
        for place in places:
            if line.file and os.path.isfile(_Finder(place).path(line.file)):  # noqa: PTH113 - any name
                return place
    return folder


@lru_cache(maxsize=4)  # checking a sweep asks for the same list at every point
def _read_list(path: Path, encoding: str, version: str) -> LineList:  # noqa: ARG001 - of the key
    return read_line_list(path, encoding)


def _version(path: Path) -> str:
    """Changes when the content of a list, or a text file of a folder, changes."""
    return state_of_files(text_files(path)) if path.is_dir() else _file_hash(path, *state(path))


@lru_cache(maxsize=64)
def _file_hash(path: Path, size_bytes: int, changed_ns: int) -> str:  # noqa: ARG001 - of the key
    return sha256_of(path)
