"""Writes lines as CRNN recognisers of the TensorFlow 1 years read them: folders, sample.txt, char_dict and ord maps."""

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.base import DatasetExport, refuse_existing
from text_recognizer.datasets.formats.char_dict import Form, write_char_dict
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset
from text_recognizer.errors import DataError
from text_recognizer.wording import counted

FOLDERS = {"train": "Train", "validation": "Validation", "test": "Test"}


class MapsExport(DatasetExport):
    """Train, Validation and Test with a sample.txt each; beside them pic, chinese.txt and a char_dict of maps.

    Files in a sample.txt are relative to the new folder, and pictures are RGB with dark ink, as those recognisers
    expect it. Every split gets its own lines. `LineListDataset(folder)` reads them again.
    """

    form: ClassVar[Form] = "maps"

    def write(self, dataset: LineDataset | JoinedLinesDataset, output: Path) -> None:
        from PIL import Image

        refuse_existing(output)
        try:
            characters = dataset.data_spec.charset.characters
            write_char_dict(output / "char_dict", characters, self.form)
            (output / "chinese.txt").write_text("".join(f"{one}\n" for one in characters), encoding="utf-8")
            number = with_blanks = 0
            for name in SPLIT_NAMES:
                split = dataset.split(name)
                rows = []
                for position, text in enumerate(split.texts):
                    file = output / "pic" / str(number // 1000) / f"{number}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    picture = split.image(position)[..., 0]
                    dark = picture if split.ink == "dark" else np.invert(picture)
                    Image.fromarray(dark).convert("RGB").save(file, compress_level=1)
                    rows.append(f"{file.relative_to(output).as_posix()} {text}\n")
                    number += 1
                    with_blanks += " " in text
                (output / FOLDERS[name]).mkdir()
                (output / FOLDERS[name] / "sample.txt").write_text("".join(rows), encoding="utf-8")
            if with_blanks:
                sys.stderr.write(f"{counted(with_blanks, 'text')} have blanks, at which older readers part a row.\n")
        except OSError as error:
            raise DataError(f"cannot write {error.filename or output}: {error.strerror or error}.") from error


class OrdMapExport(MapsExport):
    """The same folders, and a char_dict with ord maps."""

    form = "ord_map"
