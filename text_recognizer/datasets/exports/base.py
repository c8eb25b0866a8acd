"""DatasetExport: a form in which a dataset of lines is written for another tool."""

from abc import ABC, abstractmethod
from pathlib import Path

from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset


class DatasetExport(ABC):
    """Arguments of the constructor are what stands after the name in `--as NAME:KEY=VALUE,…`."""

    @abstractmethod
    def write(self, dataset: LineDataset | JoinedLinesDataset, output: Path) -> None:
        """Writes all splits of a prepared dataset.

        Args:
            output: the file or folder to be made.
        Raises:
            DataError: it is there already, or cannot be written; or the form cannot hold the lines.
        """
