"""Writes lines as CRNN recognisers of the TensorFlow 1 years read them: folders, sample.txt, char_dict and ord maps."""

from pathlib import Path

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.base import DatasetExport
from text_recognizer.datasets.formats.char_dict import Form, write_char_dict
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.errors import DataError

FOLDERS = {"train": "Train", "validation": "Validation", "test": "Test"}


def write_sample_folders(dataset: LineDataset, folder: Path, form: Form = "maps") -> None:
    """The folders Train, Validation and Test with PNG files and a sample.txt each, and char_dict beside them.

    Every split gets its own lines. `LineListDataset(folder)` reads them again.

    Args:
        folder: new, or empty.
        form: of the maps; see datasets.formats.char_dict.
    Raises:
        DataError: the folder has files; a character is not one code point; the folder cannot be written.
    """
    from PIL import Image

    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is there already. Give another name, or remove it.")
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty. Give another folder, or empty it.")
    try:
        write_char_dict(folder / "char_dict", dataset.data_spec.charset.characters, form)
        for name in SPLIT_NAMES:
            split = dataset.split(name)
            pictures = folder / FOLDERS[name] / "pic"
            pictures.mkdir(parents=True)
            rows = []
            for position, text in enumerate(split.texts):
                file = pictures / f"{position:06d}.png"
                Image.fromarray(split.image(position)[..., 0]).save(file, compress_level=1)
                rows.append(f"pic/{file.name} {text}\n")
            (folder / FOLDERS[name] / "sample.txt").write_text("".join(rows), encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {error.filename or folder}: {error.strerror or error}.") from error


class MapsExport(DatasetExport):
    """Folders with sample.txt, and a char_dict of maps."""

    def write(self, dataset: LineDataset, output: Path) -> None:
        write_sample_folders(dataset, output, "maps")


class OrdMapExport(DatasetExport):
    """Folders with sample.txt, and a char_dict with ord maps."""

    def write(self, dataset: LineDataset, output: Path) -> None:
        write_sample_folders(dataset, output, "ord_map")
