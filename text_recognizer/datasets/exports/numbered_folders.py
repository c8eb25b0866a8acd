"""Writes characters as recognisers of the TensorFlow 1 years read them: a folder for each number, and a char_dict."""

import pickle
from pathlib import Path

import numpy as np

from text_recognizer.datasets.base import SPLIT_NAMES, Dataset
from text_recognizer.datasets.exports.base import DatasetExport, refuse_existing
from text_recognizer.errors import DataError


class NumberedFoldersExport(DatasetExport):
    """train/00012/345.png, the same for validation and test; beside them a pickled {character: number}, the char_dict.

    Pictures are RGB with dark ink, as those recognisers expect it. `ImageFolderDataset(folder)` reads them again.
    """

    target = "character"

    def write(self, dataset: Dataset, output: Path) -> None:
        from PIL import Image

        refuse_existing(output)
        spec = dataset.data_spec
        ids = {text: number for number, text in enumerate(spec.classes)}
        try:
            for name in SPLIT_NAMES:
                split = dataset.split(name)
                for position, text in enumerate(split.texts):
                    file = output / name / f"{ids[text]:05d}" / f"{position}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    picture = split.image(position)[..., 0]
                    dark = picture if spec.ink == "dark" else np.invert(picture)
                    Image.fromarray(dark).convert("RGB").save(file, compress_level=1)
            (output / "char_dict").write_bytes(pickle.dumps(ids, protocol=2))  # Python 2 reads it
        except OSError as error:
            raise DataError(f"cannot write {error.filename or output}: {error.strerror or error}.") from error
