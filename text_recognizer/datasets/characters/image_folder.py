"""Characters in one image file each: a folder for each class, or a table of files and characters."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.pictures import CharacterSample, PictureDataset, PictureSource
from text_recognizer.datasets.formats.line_lists import SPLITS, read_line_list
from text_recognizer.datasets.formats.plain_pickle import read_pickled_ids
from text_recognizer.datasets.storage.file_states import SYSTEM_FOLDERS, files_below, named_file, state_of_files
from text_recognizer.datasets.storage.rejected import Rejected, summary
from text_recognizer.datasets.transcribed.alto_files import compiled_pattern, writer_of
from text_recognizer.errors import DataError, reason
from text_recognizer.images.character_form import as_dark_ink
from text_recognizer.images.grey import SUFFIXES, read_grey
from text_recognizer.settings import given_path

CHAR_DICT = "char_dict"
_FILES_A_SOURCE = 256


@dataclass(frozen=True)
class _File:
    path: Path
    text: str
    group: str
    split: SplitName | None


@dataclass(frozen=True)
class _FilesSource(PictureSource):
    split: SplitName | None
    root: Path
    files: tuple[_File, ...]
    source_ink: Literal["dark", "light", "auto"]
    left_out: tuple[Rejected, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def samples(self) -> Iterator[CharacterSample | Rejected]:
        yield from self.left_out
        for file in self.files:
            name = str(file.path.relative_to(self.root) if file.path.is_relative_to(self.root) else file.path)
            try:
                picture = as_dark_ink(read_grey(file.path), self.source_ink)
            except DataError as error:
                yield Rejected(name, reason(error), file.text)
            else:
                yield CharacterSample(name, file.text, picture, file.group)


@dataclass(eq=False, repr=False)
class ImageFolderDataset(PictureDataset):
    """Characters in image files: a folder for each class, named after it.

    Folders train, validation and test around the classes are the splits. Folders with numbers as names need a
    `char_dict`: a pickled {character: number}, as recognisers of the TensorFlow 1 years have it; of a pickle, nothing
    but texts and numbers is read.

    >>> dataset = ImageFolderDataset("letters")  # letters/a/1.png, letters/a/2.png, letters/b/1.png, …

    Args:
        path: a folder, or a table (.csv, .tsv, .json) with path and label, and optionally split and writer.
        char_dict: the file with the numbers of the characters; by default `char_dict` beside the classes or splits.
        writer_pattern: a regular expression for the name of a file without its ending. What it finds (its first group,
            if it has one) is the writer; whole writers are held out. Files in whose name it finds none are left out.
        source_ink: polarity of the images. "auto" takes what differs most from the border.
        encoding: encoding of the table.
    """

    path: str
    char_dict: str | None = None
    writer_pattern: str | None = None
    source_ink: Literal["dark", "light", "auto"] = "auto"
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        self._path = given_path(self.path).absolute()
        self._pattern = compiled_pattern(self.writer_pattern)
        self._left_out: list[Rejected] = []  # folders and rows of a table, set by `_files`

    def find_classes(self) -> tuple[str, ...]:
        return tuple(sorted({file.text for file in self._files}))

    def depends_on(self) -> dict[str, Any]:
        return {
            "path": str(self._path),
            "char_dict": self._ids,
            "files": [[str(file.path), file.text, file.group, file.split] for file in self._files],
            "state": state_of_files(file.path for file in self._files),
            "source_ink": self.source_ink,
            **({"empty": [one.name for one in self._left_out]} if self._left_out else {}),
        }

    def sources(self) -> Sequence[PictureSource]:
        root = self._path if self._path.is_dir() else self._path.parent
        by_split: dict[SplitName | None, list[_File]] = {}
        for file in self._files:
            by_split.setdefault(file.split, []).append(file)
        found = [
            _FilesSource(split, root, tuple(files[begin : begin + _FILES_A_SOURCE]), self.source_ink)
            for split, files in by_split.items()
            for begin in range(0, len(files), _FILES_A_SOURCE)
        ]
        return [replace(found[0], left_out=tuple(self._left_out)), *found[1:]]

    def remarks(self, name: SplitName) -> list[str]:
        are_numbers = all(map(str.isdecimal, self.classes)) and any(len(text) > 1 for text in self.classes)
        if name != "train" or self._ids is not None or not are_numbers or not self._path.is_dir():
            return []
        few = ", ".join(f"'{text}'" for text in self.classes[:3])
        return [
            f"the names of the folders are taken as the texts of the classes: {few}, …. If they are numbers of "
            f"characters, give a char_dict with the character of each (dataset_args.char_dict)"
        ]

    @cached_property
    def _files(self) -> list[_File]:
        self._left_out.clear()
        files = list(self._in_folders() if self._path.is_dir() else self._in_table())
        if not files:
            why = f" {summary(self._left_out, 'image')}" if self._left_out else ""
            raise DataError(
                f"{self.name}: there are no images in {self._path}.{why} Expected a folder for each class with files "
                f"like a/1.png, perhaps in folders train, validation and test; or a table with columns path and label."
            )
        once: dict[str, _File] = {}
        for file in files:
            other = once.setdefault(os.path.normpath(file.path), file)
            if other.text != file.text:
                raise DataError(f"{self.name}: {file.path} has two labels: '{other.text}' and '{file.text}'.")
            if other is not file:
                self._left_out.append(Rejected(str(file.path), "the table names the file twice", file.text))
        return list(once.values())

    def _in_folders(self) -> Iterator[_File]:
        folders = _folders(self._path)
        splits = {folder: SPLITS.get(folder.name.lower()) for folder in folders}
        parted = [one for one in folders if splits[one] and any(map(_pictures, _folders(one)))]
        others = [one.name for one in folders if not splits[one] and (not parted or _pictures(one))]
        if parted and others:
            raise DataError(
                f"{self.name}: {parted[0]} has folders of classes in it, as that of a split has; beside it are folders "
                f"that are none: {', '.join(others)}. Move them elsewhere, or give the path of one split."
            )
        for split_folder in [self._path] if others or not folders else filter(splits.get, folders):
            for folder in _folders(split_folder):
                text = self._text(folder.name)
                paths = _pictures(folder)
                if not paths:
                    self._left_out.append(Rejected(str(folder.relative_to(self._path)), "the folder has no images"))
                for path in paths:
                    yield from self._found(path, text, splits.get(split_folder))

    def _in_table(self) -> Iterator[_File]:
        for line in read_line_list(self._path, self.encoding).lines:
            if line.problem or not line.text:
                self._left_out.append(Rejected(line.file, line.problem or "its label is empty"))
                continue
            path = named_file(self._path.parent, line.file.strip().replace("\\", "/"))
            text = unicodedata.normalize("NFC", line.text.strip() or line.text)
            yield from self._found(path, text, SPLITS.get(line.split), line.about.get("writer", ""))

    @cached_property
    def _ids(self) -> dict[str, int] | None:
        if self.char_dict is not None:
            return read_pickled_ids(given_path(self.char_dict))
        is_split = self._path.name.lower() in SPLITS
        usual = [folder / CHAR_DICT for folder in (self._path, self._path.parent)[: 1 + is_split]]
        return next((read_pickled_ids(file) for file in usual if file.is_file()), None)

    @cached_property
    def _text_of_number(self) -> dict[int, str]:
        texts: dict[int, str] = {}
        for text, number in (self._ids or {}).items():
            if number in texts:
                raise DataError(
                    f"{self.name}: the char_dict has two characters of number {number}: '{texts[number]}' and '{text}'."
                )
            texts[number] = text
        return texts

    def _text(self, folder: str) -> str:
        if self._ids is None:
            return unicodedata.normalize("NFC", folder)  # as macOS does not write names
        if not folder.isdecimal() or int(folder) not in self._text_of_number:
            raise DataError(f"{self.name}: the char_dict has no character for the folder '{folder}'.")
        return self._text_of_number[int(folder)]

    def _found(self, path: Path, text: str, split: SplitName | None, writer: str = "") -> Iterator[_File]:
        """The file, unless no writer is found in its name, so that the writer could be in several splits."""
        try:
            yield _File(path, text, writer or (writer_of(path.stem, self._pattern) if self._pattern else ""), split)
        except DataError as error:
            self._left_out.append(Rejected(str(path), reason(error), text))


def _folders(folder: Path) -> list[Path]:
    """The subfolders, sorted, without those made by systems and editors."""
    inside = (one for one in folder.iterdir() if one.is_dir())
    return sorted(one for one in inside if not one.name.startswith(".") and one.name not in SYSTEM_FOLDERS)


def _pictures(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if path.suffix.lower() in SUFFIXES]
