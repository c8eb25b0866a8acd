"""Folders of images and texts in the formats of recognisers from the TensorFlow 1 years."""

import pickle
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES, Dataset, Ink, Split
from text_recognizer.datasets.exports.base import DatasetExport
from text_recognizer.datasets.formats.char_dict import Form, write_char_dict
from text_recognizer.datasets.formats.gnt import write_gnt
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset
from text_recognizer.whole_files import new_folder
from text_recognizer.wording import counted

FOLDERS = {"train": "Train", "validation": "Validation", "test": "Test"}


class MapsExport(DatasetExport):
    """Train, Validation and Test with a sample.txt each; beside them pic, chinese.txt and a char_dict of maps.

    Files in a sample.txt are relative to the new folder, and images are RGB with dark ink, as those recognisers
    expect. Every split gets its own lines. `LineListDataset(folder)` reads them.
    """

    form: ClassVar[Form] = "maps"

    def write(self, dataset: LineDataset | JoinedLinesDataset, output: Path) -> None:
        with new_folder(output):
            characters = dataset.data_spec.charset.characters
            write_char_dict(output / "char_dict", characters, self.form)
            (output / "chinese.txt").write_text("".join(f"{one}\n" for one in characters), encoding="utf-8")
            number = with_blanks = 0
            for name in SPLIT_NAMES:
                split = dataset.split(name)
                rows = []
                for position, text in enumerate(split.texts):
                    file = output / "pic" / str(number // 1000) / f"{number}.png"
                    _save_rgb(split, position, split.data_spec.ink, file)
                    rows.append(f"{file.relative_to(output).as_posix()} {text}\n")
                    number += 1
                    with_blanks += " " in text
                (output / FOLDERS[name]).mkdir()
                (output / FOLDERS[name] / "sample.txt").write_text("".join(rows), encoding="utf-8")
            if with_blanks:
                sys.stderr.write(f"{counted(with_blanks, 'text')} have blanks, at which older readers part a row.\n")


class OrdMapExport(MapsExport):
    """The same folders as maps, and a char_dict with ord maps."""

    form = "ord_map"


class NumberedFoldersExport(DatasetExport):
    """train/00012/345.png, the same for validation and test; beside them a pickled {character: number}, the char_dict.

    Images are RGB with dark ink, as those recognisers expect. `ImageFolderDataset(folder)` reads them.
    """

    target = "character"

    def write(self, dataset: Dataset, output: Path) -> None:
        spec = dataset.data_spec
        ids = {text: number for number, text in enumerate(spec.classes)}
        with new_folder(output):
            for name in SPLIT_NAMES:
                split = dataset.split(name)
                for position, text in enumerate(split.texts):
                    _save_rgb(split, position, spec.ink, output / name / f"{ids[text]:05d}" / f"{position}.png")
            (output / "char_dict").write_bytes(pickle.dumps(ids, protocol=2))  # Python 2 reads it


class GntExport(DatasetExport):
    """train/1001-c.gnt, test/1031-c.gnt: one file per writer, or one per folder if writers are unknown.

    Validation images are included in train. `HwdbDataset("FOLDER/train", "FOLDER/test")` reads them.
    """

    target = "character"

    def write(self, dataset: Dataset, output: Path) -> None:
        files: dict[tuple[str, str], list[tuple[Split, int]]] = {}
        for name in SPLIT_NAMES:
            split, folder = dataset.split(name), "test" if name == "test" else "train"
            for position, writer in enumerate(split.groups or [""] * len(split)):
                files.setdefault((folder, writer), []).append((split, position))
        with new_folder(output):
            for number, ((folder, _), places) in enumerate(files.items(), start=1001):
                samples = ((split.text(at), _in_dark_ink(split, at, dataset.data_spec.ink)) for split, at in places)
                write_gnt(output / folder / f"{number}-c.gnt", samples)


def _in_dark_ink(split: Split, position: int, ink: Ink) -> NDArray[np.uint8]:
    picture = split.image(position)[..., 0]  # (H, W)
    return picture if ink == "dark" else np.invert(picture)


def _save_rgb(split: Split, position: int, ink: Ink, file: Path) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_in_dark_ink(split, position, ink)).convert("RGB").save(file, compress_level=1)
