"""CASIA HWDB: offline handwritten Chinese characters, and anyone's characters in GNT files."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from text_recognizer.charset import Characters
from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.pictures import CharacterSample, PictureDataset, PictureSource, given_classes
from text_recognizer.datasets.formats.gnt import Records, map_file, records_of_file
from text_recognizer.datasets.formats.line_lists import SPLITS
from text_recognizer.datasets.remote.archives import is_archive
from text_recognizer.datasets.remote.fetch import fetch, unpacked
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.datasets.storage.file_states import files_below, state, state_of_files
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError, SpecError
from text_recognizer.settings import data_folder, given_path
from text_recognizer.wording import shell_word

GB2312_LEVEL_1 = tuple(
    sorted(
        bytes((high, low)).decode("gb2312")
        for high in range(0xB0, 0xD8)
        for low in range(0xA1, 0xFF)
        if high < 0xD7 or low <= 0xF9
    )
)
TRAIN_MARK, TEST_MARK = "trn", "tst"  # in the names of CASIA's archives
# The same in names of folders: HWDB1.1trn_gnt, Gnt1.1TrainPart2.
_IN_NAMES: dict[SplitName, re.Pattern[str]] = {
    "train": re.compile(rf"{TRAIN_MARK}|(?<![A-Za-z])[Tt]rain(?![a-z])"),
    "test": re.compile(rf"{TEST_MARK}|(?<![A-Za-z])[Tt]est(?![a-z])"),
}
_PART_NUMBER = re.compile(r"_?(?:[Pp](?:art)?_?)?(?<![.0-9])[0-9]+$")  # but not a version: trn1.0
_PIECE_RECORDS = 4096


@dataclass(frozen=True)
class GntSource(PictureSource):
    """Some records of a GNT file, from `begin` on; CASIA has one file per writer, named after the writer."""

    split: SplitName | None
    path: Path
    records: Records
    begin: int

    def __len__(self) -> int:
        return len(self.records)

    def samples(self) -> Iterator[CharacterSample | Rejected]:
        content = map_file(self.path)
        if not len(content):
            yield Rejected(self.path.name, "the file is empty")
        if self.begin == 0:
            for damage in self.records.damages:
                yield Rejected(f"{self.path.name}@{damage.offset}", str(damage))
        file, writer = self.path.name, self.path.stem
        for row, text in enumerate(self.records.texts):
            yield CharacterSample(f"{file}:{self.begin + row}", text, self.records.picture(content, row), writer)


@dataclass(eq=False, repr=False)
class HwdbDataset(PictureDataset):
    """Handwritten Chinese characters of CASIA HWDB1.1: 3,755 classes, 240 writers to train on and 60 others to test.

    Reads other GNT files too; each is taken for one writer's. Source: Liu, Yin, Wang and Wang (2013), "Online and
    Offline Handwritten Chinese Character Recognition: Benchmarking on New Databases". For research only.

    Args:
        path: your own GNT files: a folder that is searched recursively, a zip archive, or one file. Folders train and
            test (or CASIA's: …trn…, Gnt1.1TrainPart1), and optionally validation, define the splits.
        test_path: GNT files to test with; without them, whole writers of `path` are held out.
        source: the table of metadata.toml with CASIA's archives, used if no path is given.
        charset: a list of characters, a file or bundle that has them, or "gb2312-1" for level 1 of GB 2312. By default
            that for CASIA's files, and those that occur for your own. Other characters are left out.
        test_fraction: share of the writers held out for the test split if there are no files for it.
    """

    path: str | None = None
    test_path: str | None = None
    source: str = "hwdb1.1"
    charset: Characters | None = None

    def __post_init__(self) -> None:
        if self.test_path is not None and self.path is None:
            raise SpecError(["test_path needs path too, the files to train on."])

    def find_classes(self) -> tuple[str, ...]:
        if self.charset == "gb2312-1" or (self.charset is None and self.path is None):
            return GB2312_LEVEL_1
        if self.charset is not None:
            return given_classes(self.charset, self.label)
        files = tuple(file for found in self._files().values() for file in found)
        return _characters_in(files, state_of_files(files))

    def depends_on(self) -> dict[str, Any]:
        if self.path is None:
            return {"table": self.source, "files": find_table(self.source).hashes}
        files = self._files()
        return {
            "files": {str(split): [str(file.absolute()) for file in found] for split, found in files.items()},
            "state": state_of_files(file for found in files.values() for file in found),
        }

    def sources(self) -> Sequence[PictureSource]:
        return [source for split, found in self._files().items() for file in found for source in _pieces(split, file)]

    def _files(self) -> dict[SplitName | None, list[Path]]:
        """The files of each split; None: still to be split."""
        if self.path is None:
            paths = self._fetched()
        elif self.test_path:
            paths = {"train": [given_path(self.path)], "test": [given_path(self.test_path)]}
        else:
            paths = _splits_in(given_path(self.path))
        return {split: [file for path in found for file in gnt_files(path)] for split, found in paths.items()}

    def _fetched(self) -> dict[SplitName | None, list[Path]]:
        fetched = fetch(find_table(self.source))
        found: dict[SplitName | None, list[Path]] = {}
        for split, mark in (("train", TRAIN_MARK), ("test", TEST_MARK)):
            marked = [path for name, path in fetched.items() if mark in name]
            if len(marked) != 1:
                raise DataError(
                    f"{self.name}: the table '{self.source}' must have one file with '{mark}' in its name. "
                    f"It has: {', '.join(fetched)}."
                )
            found[split] = marked  # type: ignore[index]
        return found


def gnt_files(path: Path) -> list[Path]:
    """The GNT files at a path, sorted; an archive is unpacked once. Raises DataError: there are none."""
    folder = path
    if is_archive(path):
        digest = hashlib.sha256(os.fsencode(f"{path.absolute()} {state(path)}")).hexdigest()[:12]
        folder = unpacked(path, data_folder() / "unpacked" / f"{path.stem}-{digest}")
    inside = files_below(folder) if folder.is_dir() else [path]
    alz = [file for file in inside if file.suffix.lower() == ".alz"]
    files = [file for file in inside if file.suffix.lower() == ".gnt" or (file == path and not alz)]
    if alz and not files:
        folder_there, file_there = (shell_word(one) for one in (alz[0].parent, alz[0]))
        raise DataError(
            f"{alz[0]} is an ALZ archive, which cannot be read here. Unpack it with Debian's unalz (apt install unalz) "
            f"and run again on the folder:\n  unalz -d {folder_there} {file_there}"
        )
    if not files:
        packed = next((f" Unpack {file.name} and the like first." for file in inside if is_archive(file)), "")
        raise DataError(f"there are no .gnt files in {path}.{packed}")
    return files


def _splits_in(path: Path) -> dict[SplitName | None, list[Path]]:
    """The folders of splits, possibly in numbered parts; the path itself if there are none.

    Raises:
        DataError: there are files beside such folders.
    """
    found: dict[SplitName | None, list[Path]] = {}
    others: list[Path] = []
    for one in sorted(path.iterdir()) if path.is_dir() else ():
        if any(file.suffix.lower() in (".gnt", ".alz") for file in (files_below(one) if one.is_dir() else [one])):
            split = _split_of(one.name) if one.is_dir() else None
            parts = found.setdefault(split, []) if split else []
            is_part = not parts or len({_PART_NUMBER.sub("", part.name) for part in (parts[0], one)}) == 1
            (parts if split and is_part else others).append(one)
    if not {"train", "test"} <= found.keys():
        return {None: [path]}
    if others:
        splits = ", ".join(part.name for parts in found.values() for part in parts)
        raise DataError(
            f"{path} has folders of splits ({splits}), and characters in: {', '.join(one.name for one in others)}. "
            f"Move these into one of the folders, or elsewhere."
        )
    return found


def _split_of(folder: str) -> SplitName | None:
    named = (split for split, words in _IN_NAMES.items() if words.search(folder))
    return SPLITS.get(folder.lower()) or next(named, None)


def _pieces(split: SplitName | None, path: Path) -> Iterator[GntSource]:
    records = records_of_file(path)
    for begin in range(0, max(1, len(records)), _PIECE_RECORDS):
        yield GntSource(split, path, records.rows(begin, begin + _PIECE_RECORDS), begin)


@lru_cache(maxsize=16)  # checking a sweep asks for the same files at every point
def _characters_in(paths: tuple[Path, ...], state: str) -> tuple[str, ...]:  # noqa: ARG001 - of the key
    found = {text for path in paths for text in records_of_file(path).texts}
    if not found:
        why = next((str(damage) for path in paths for damage in records_of_file(path).damages), "empty")
        raise DataError(f"no record of a GNT file can be read: {paths[0]}, {why}.")
    return tuple(sorted(found))
