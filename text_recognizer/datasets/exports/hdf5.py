"""One HDF5 file in the format of HTR-Flor."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.datasets.base import SPLIT_NAMES, SplitName
from text_recognizer.datasets.exports.base import DatasetExport
from text_recognizer.datasets.formats.hdf5_lines import LINES_A_PIECE, PARTS, WHITE
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.errors import DataError, system_errors
from text_recognizer.whole_files import replace_file

LEAST_WIDTH_PX = 1024


class Hdf5Export(DatasetExport):
    """One HDF5 file with the groups train, valid and test; Hdf5LinesDataset reads it too."""

    def write(self, dataset: LineDataset | JoinedLinesDataset, output: Path) -> None:
        if output.exists():
            raise DataError(f"{output} already exists. Give another name, or remove it.")
        splits = {name: dataset.split(name) for name in SPLIT_NAMES}
        widest = max(int(split.widths.max(initial=0)) for split in splits.values())
        write_hdf5(output, splits, max(LEAST_WIDTH_PX, widest))


def write_hdf5(path: Path, splits: Mapping[SplitName, LineSplit], width: int = LEAST_WIDTH_PX) -> None:
    """Writes splits of one height atomically. Raises DataError: a line is wider; unwritable.

    Args:
        width: width to which all images are padded; dark ink on white regardless of the splits.
    """
    for name, split in splits.items():
        if len(split) and split.widths.max() > width:
            raise DataError(
                f"{path}: a line of the {name} split is {split.widths.max()} pixels wide, the file's images are "
                f"{width}. Give the dataset max_width={width}, or write wider images."
            )

    import h5py

    content = io.BytesIO()  # an HDF5 file left unfinished by a full disk makes the process crash at exit
    with h5py.File(content, "w") as file:
        for part, name in PARTS.items():
            if name in splits:
                _write_part(file.create_group(part), splits[name], width)
    with system_errors(f"write {path}"):
        replace_file(path, lambda target: target.write(content.getbuffer()))


def _write_part(group: Any, split: LineSplit, width: int) -> None:
    height = split.image(0).shape[0] if len(split) else 1
    shape = (len(split), width, height)
    chunks = (1, width, height) if len(split) else None
    pictures = group.create_dataset("dt", shape, "u1", chunks=chunks, compression="gzip")
    for first in range(0, len(split), LINES_A_PIECE):
        rows = range(first, min(first + LINES_A_PIECE, len(split)))
        lying = np.full((len(rows), width, height), WHITE, np.uint8)
        for picture, row in zip(lying, rows, strict=True):
            line = split.image(row)[..., 0]
            picture[: line.shape[1]] = (line if split.data_spec.ink == "dark" else np.invert(line)).T
        pictures[first : rows.stop] = lying
    encoded = [text.encode("utf-8") for text in split.texts]
    longest = max(map(len, encoded), default=1)
    group.create_dataset("gt", data=np.array(encoded, f"S{max(1, longest)}"), compression="gzip")
