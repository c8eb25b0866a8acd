"""CASIA HWDB: offline handwritten Chinese characters, and anyone's characters in GNT files."""

import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

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

GB2312_LEVEL_1 = tuple(
    sorted(
        bytes((high, low)).decode("gb2312")
        for high in range(0xB0, 0xD8)
        for low in range(0xA1, 0xFF)
        if high < 0xD7 or low <= 0xF9
    )
)
TRAIN_MARK, TEST_MARK = "trn", "tst"  # in the names of CASIA's archives
_PIECE_RECORDS = 4096


@dataclass(frozen=True)
class GntSource(PictureSource):
    """Some records of a GNT file, from `begin` on; CASIA has a file a writer, named after the writer."""

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
        path: of your own GNT files: a folder with any number of them in it or below, a zip archive, or one file. In
            folders train and test (or CASIA's, …trn… and …tst…) and perhaps validation, they are of these splits.
        test_path: of those to test with; without them, whole writers of `path` are held out.
        source: the table of metadata.toml with CASIA's archives, where no path is given.
        charset: a list of characters, a file or bundle that has them, or "gb2312-1" for level 1 of GB 2312. By default
            that for CASIA's files, and those that occur for your own. Other characters are left out.
        test_fraction: share of the writers held out for the test split where there are no files for it.
    """

    path: str | None = None
    test_path: str | None = None
    source: str = "hwdb1.1"
    charset: list[str] | str | None = None

    def __post_init__(self) -> None:
        if self.test_path is not None and self.path is None:
            raise SpecError(["test_path needs path too, the files to train on."])

    def find_classes(self) -> tuple[str, ...]:
        if self.charset == "gb2312-1" or (self.charset is None and self.path is None):
            return GB2312_LEVEL_1
        if self.charset is not None:
            return given_classes(self.charset, self.label)
        files = tuple(file for path in self._paths().values() for file in gnt_files(path))
        return _characters_in(files, state_of_files(files))

    def depends_on(self) -> dict[str, Any]:
        if self.path is None:
            return {"table": self.source, "files": find_table(self.source).hashes}
        files = {str(split): gnt_files(path) for split, path in self._paths().items()}
        return {
            "files": {split: [str(file.absolute()) for file in found] for split, found in files.items()},
            "state": state_of_files(file for found in files.values() for file in found),
        }

    def sources(self) -> Sequence[PictureSource]:
        return [
            source
            for split, path in self._paths().items()
            for file in gnt_files(path)
            for source in _pieces(split, file)
        ]

    def _paths(self) -> dict[SplitName | None, Path]:
        """Where the files of each split are; None is to be parted here."""
        if self.path is not None:
            path = given_path(self.path)
            return {"train": path, "test": given_path(self.test_path)} if self.test_path else _splits_in(path)
        fetched = fetch(find_table(self.source))
        found: dict[SplitName | None, Path] = {}
        for split, mark in (("train", TRAIN_MARK), ("test", TEST_MARK)):
            marked = [path for name, path in fetched.items() if mark in name]
            if len(marked) != 1:
                raise DataError(
                    f"{self.name}: the table '{self.source}' must have one file with '{mark}' in its name. "
                    f"It has: {', '.join(fetched)}."
                )
            found[split] = marked[0]  # type: ignore[index]
        return found


def gnt_files(path: Path) -> list[Path]:
    """The GNT files at a place, sorted; an archive is unpacked once. Raises DataError: there are none."""
    folder = path
    if is_archive(path):
        digest = hashlib.sha256(os.fsencode(f"{path.absolute()} {state(path)}")).hexdigest()[:12]
        folder = unpacked(path, data_folder() / "unpacked" / f"{path.stem}-{digest}")
    inside = files_below(folder) if folder.is_dir() else [path]
    alz = [file for file in inside if file.suffix.lower() == ".alz"]
    files = [file for file in inside if file.suffix.lower() == ".gnt" or (file == path and not alz)]
    if alz and not files:
        folder_there, file_there = (shlex.quote(str(one)) for one in (alz[0].parent, alz[0]))
        raise DataError(
            f"{alz[0]} is an ALZ archive, which cannot be read here. Unpack it with Debian's unalz (apt install unalz) "
            f"and run again on the folder:\n  unalz -d {folder_there} {file_there}"
        )
    if not files:
        raise DataError(f"there are no .gnt files in {path}.")
    return files


def _splits_in(path: Path) -> dict[SplitName | None, Path]:
    """The folders of splits; the place itself where there are none. Raises DataError: files lie beside such folders."""
    marks: dict[str, SplitName] = {**SPLITS, TRAIN_MARK: "train", TEST_MARK: "test"}
    found: dict[SplitName | None, Path] = {}
    others = []
    for one in sorted(path.iterdir()) if path.is_dir() else ():
        if any(file.suffix.lower() in (".gnt", ".alz") for file in (files_below(one) if one.is_dir() else [one])):
            names = (one.name.lower(), *(mark for mark in (TRAIN_MARK, TEST_MARK) if mark in one.name))
            split = next((marks[name] for name in names if name in marks and one.is_dir()), None)
            if split is None or found.setdefault(split, one) is not one:
                others.append(one.name)
    if not {"train", "test"} <= found.keys():
        return {None: path}
    if others:
        raise DataError(
            f"{path} has folders of splits ({', '.join(one.name for one in found.values())}), and characters in: "
            f"{', '.join(others)}. Move these into one of the folders, or elsewhere."
        )
    return found


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
