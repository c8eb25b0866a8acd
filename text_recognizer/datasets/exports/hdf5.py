"""One HDF5 file, as HTR-Flor reads it."""

from pathlib import Path

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.base import DatasetExport
from text_recognizer.datasets.formats.hdf5_lines import write_hdf5
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.errors import DataError

LEAST_WIDTH_PX = 1024


class Hdf5Export(DatasetExport):
    """One HDF5 file with the groups train, valid and test; Hdf5LinesDataset reads it too."""

    def write(self, dataset: LineDataset, output: Path) -> None:
        if output.exists():
            raise DataError(f"{output} is there already. Give another name, or remove it.")
        splits = {name: dataset.split(name) for name in SPLIT_NAMES}
        widest = max(int(split.widths.max(initial=0)) for split in splits.values())
        write_hdf5(output, splits, max(LEAST_WIDTH_PX, widest))
