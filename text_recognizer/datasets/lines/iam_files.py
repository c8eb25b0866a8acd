"""Finds the files of IAM: unpacked as published, or still in their archives."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.formats.iam import IamForm, read_form_xml, read_split_list
from text_recognizer.datasets.remote.archives import is_archive
from text_recognizer.datasets.remote.fetch import SUMS, fetch, unpacked
from text_recognizer.datasets.remote.metadata import load_registry
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.errors import DataError
from text_recognizer.settings import data_folder
from text_recognizer.wording import counted

IamSplit = Literal["lwitlrt", "flor2020", "fsdl", "aachen", "writers"]
TextsOf = Literal["ascii", "xml"]
ImagesOf = Literal["lines", "forms"]
TASK = "largeWriterIndependentTextLineRecognitionTask"
_LISTS: dict[str, dict[SplitName, tuple[str, ...]]] = {
    "lwitlrt": {"train": ("trainset",), "validation": ("validationset1", "validationset2"), "test": ("testset",)},
    "flor2020": {"train": ("trainset",), "validation": ("validationset1",), "test": ("testset",)},
    "fsdl": {"train": ("trainset",), "validation": ("validationset2",), "test": ("testset",)},
}
TASK_LISTS = ("trainset.txt", "validationset1.txt", "validationset2.txt", "testset.txt")
_AACHEN: dict[SplitName, tuple[str, ...]] = {
    "train": ("tr", "train", "trainset"),
    "validation": ("va", "val", "valid", "validation", "validationset"),
    "test": ("te", "test", "testset"),
}
_LIST_ENDINGS = (".txt", ".lst", ".uttlist", "")
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif")


class IamLayout(NamedTuple):
    """The files that a folder has, which determine the defaults.

    IAM itself has lines.txt, an image for each line and lists of its splits; the archive of the Full Stack Deep
    Learning recogniser has only XML files and JPEG pages at half size.
    """

    texts: TextsOf
    images: ImagesOf
    has_lists: bool


class IamFiles:
    """The files below a folder, found by name at any depth.

    Args:
        root: None is the folder of `table` in the data folder, whose files the registry describes.
        table: table of the registry; None is iam, or iamdb if only that was downloaded.
    """

    def __init__(self, root: Path | None = None, table: str | None = None) -> None:
        raw = data_folder() / "raw"
        usual = "iamdb" if (raw / "iamdb").exists() and not (raw / "iam").exists() else "iam"
        self.table = None if root else table or usual
        self.root = root or raw / (table or usual)

    def fetch(self) -> None:
        """Downloads the registered files if there are none, and unpacks each archive into a folder of its name.

        Raises:
            DataError: there is nothing to read (with how to get it); an archive differs from the registry, or is
                damaged; the disk is full.
        """
        packed = [path for path in self.root.glob("*") if is_archive(path) and not _folder_of(path).exists()]
        if packed or not self._has_texts:
            here = {path.name for path in packed}
            self._fetch(lambda name: not here or name in here)
        self._unpack()
        if not self._has_texts:
            raise DataError(self.how_to_get())

    def fetch_lists(self) -> None:
        """Downloads the lists of IAM's own splits, which need no registration, if there are none."""
        if not any(self.find(name) for name in TASK_LISTS):
            self._fetch(lambda name: name == f"{TASK}.zip")
            self._unpack()

    def _fetch(self, is_wanted: Callable[[str], bool]) -> None:
        """Downloads files of the table, or verifies existing ones; a registry may have no table of this name."""
        if self.table is not None and (table := load_registry().get(self.table)):
            fetch(replace(table, files=tuple(file for file in table.files if is_wanted(file.filename))))

    def _unpack(self) -> None:
        for archive in sorted(path for path in self.root.glob("*") if path.is_file() and is_archive(path)):
            if not (folder := _folder_of(archive)).exists():
                unpacked(archive, folder)
        for name in ("_paths", "layout"):
            self.__dict__.pop(name, None)

    @cached_property
    def layout(self) -> IamLayout:
        """What the folder has."""
        pictures = [Path(name) for name in self._paths if name.lower().endswith(_IMAGE_ENDINGS)]
        pages = [path for path in pictures if path.stem.count("-") == 1]
        has_lines = len(pages) < len(pictures) or not pages
        has_texts = "lines.txt" in self._paths or not self.form_files
        is_fsdl = not has_lines and not has_texts and pages[0].suffix == ".jpg"
        return IamLayout(
            "ascii" if has_texts else "xml",
            "lines" if has_lines else "forms",
            not is_fsdl or any(self.find(name) for name in TASK_LISTS),
        )

    def how_to_get(self) -> str:
        return (
            f"the IAM database is not in {self.root}. It is free for non-commercial research: register at "
            f"https://fki.tic.heia-fr.ch/databases/iam-handwriting-database, download ascii.tgz, xml.tgz, lines.tgz "
            f"(for paragraphs formsA-D.tgz, formsE-H.tgz, formsI-Z.tgz) and {TASK}.zip, "
            f"and put them there as they are."
        )

    def one(self, name: str) -> Path:
        """The file of this name. Raises DataError: there is none."""
        path = self.find(name)
        if path is None:
            raise DataError(f"there is no {name} in {self.root} or its folders. {self.how_to_get()}")
        return path

    def find(self, name: str) -> Path | None:
        return next(iter(self._paths.get(name, ())), None)

    def image(self, name: str) -> Path:
        """The path of the image of a line or form; the expected path if there is none."""
        parts = name.split("-")
        folder = self.root / "lines" / parts[0] / "-".join(parts[:2]) if len(parts) > 2 else self.root / "forms"
        endings = (one for ending in _IMAGE_ENDINGS for one in (ending, ending.upper()))
        found = (path for ending in endings if (path := self.find(f"{name}{ending}")))
        return next(found, folder / f"{name}.png")

    @cached_property
    def forms(self) -> list[IamForm]:
        """All forms by name, from their XML files. Raises DataError: there are none, or one is damaged."""
        if not self.form_files:
            raise DataError(f"there are no XML files of forms in {self.root}. {self.how_to_get()}")
        return [read_form_xml(path) for path in self.form_files]

    @property
    def form_files(self) -> list[Path]:
        return [paths[0] for name, paths in sorted(self._paths.items()) if name.endswith(".xml")]

    def require_writers(self) -> None:
        """Checks that split "writers" is possible. Raises DataError: no file has the writers of forms."""
        if not self.find("forms.txt") and not self.form_files:
            raise DataError(
                f"split 'writers' needs to know who wrote what, but {self.root} has neither forms.txt (of ascii.tgz) "
                f"nor the XML files of the forms (xml.tgz). Put one of them there, or choose another split."
            )

    def split_lists(self, split: IamSplit) -> dict[SplitName, list[Path]]:
        """The lists that make up a split; none for "writers". Raises DataError: one is missing, or several differ.

        The lists of the Aachen split are in a folder called so, those of the others are not: some have the same names.
        """
        if split == "writers":
            return {}
        if split == "aachen":
            return {name: [self._aachen_list(name, stems)] for name, stems in _AACHEN.items()}
        return {name: [self._task_list(f"{stem}.txt") for stem in stems] for name, stems in _LISTS[split].items()}

    def split_names(self, split: IamSplit) -> dict[SplitName, set[str]]:
        """The lines or forms of each part of a split."""
        return {
            name: {one for path in paths for one in read_split_list(path)}
            for name, paths in self.split_lists(split).items()
        }

    @property
    def state(self) -> dict[str, str]:
        """Changes if the texts change, or if images are added or removed."""
        texts = [path for name in ("lines.txt", "forms.txt") if (path := self.find(name))]
        return {
            "root": str(self.root.absolute()),
            "texts": state_of_files([*texts, *self.form_files]),
            "names": hashlib.sha256("\n".join(sorted(self._paths)).encode("utf-8", "replace")).hexdigest(),
        }

    def _task_list(self, name: str) -> Path:
        paths = [path for path in self._paths.get(name, ()) if not self._is_in("aachen", path)]
        has_task_folder = any(self._is_in(TASK, path) for one in TASK_LISTS for path in self._paths.get(one, ()))
        if has_task_folder:  # lists of the same names elsewhere are of something else
            paths = [path for path in paths if self._is_in(TASK, path)]
        if not paths:
            where = self.root / TASK if has_task_folder else f"{self.root} or its folders"
            raise DataError(f"there is no {name} in {where}. {self.how_to_get()}")
        return _same_list(paths)

    def _aachen_list(self, name: SplitName, stems: Iterable[str]) -> Path:
        candidates = [f"{stem}{ending}" for stem in stems for ending in _LIST_ENDINGS]
        paths = [path for one in candidates for path in self._paths.get(one, ()) if self._is_in("aachen", path)]
        if not paths:
            raise DataError(
                f"the {name} list of the Aachen split is not there: expected one of {', '.join(candidates[:6])}, … in "
                f"{self.root / 'aachen'}, with the name of a line or form in each row. IAM does not come with these "
                f"lists; publications that use the split do."
            )
        return _same_list(paths)

    @property
    def _has_texts(self) -> bool:
        return bool("lines.txt" in self._paths or self.form_files)

    def _is_in(self, folder: str, path: Path) -> bool:
        """Whether a parent folder of a file has a name that contains this one."""
        return folder.lower() in path.parent.relative_to(self.root).as_posix().lower()

    @cached_property
    def _paths(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for name in sorted(files):
                if not name.startswith(".") and not is_archive(Path(name)) and not name.endswith((".lock", SUMS)):
                    found.setdefault(name, []).append(Path(folder, name))
        return found


def refuse_unknown_writers(label: str, noun: str, unknown: Sequence[str], files: str) -> None:
    """Checks the writers for split "writers". Raises DataError: a sample's writer, and so its split, is unknown."""
    if unknown:
        raise DataError(
            f"{label}: split 'writers' needs the writer of every {noun}, but {files} name none for "
            f"{counted(len(unknown), noun)}, the first '{unknown[0]}'. Complete them, or choose another split."
        )


def _folder_of(archive: Path) -> Path:
    return archive.with_name(archive.name.partition(".")[0])


def _same_list(paths: Sequence[Path]) -> Path:
    """The first of several identical lists of lines or forms."""
    first, *others = paths
    for other in others:
        if read_split_list(other) != read_split_list(first):
            raise DataError(
                f"{first} and {other} could both be the list of a split, and they differ. Leave the one there that is "
                f"meant."
            )
    return first
