"""DatasetExport: a form in which a dataset is written for another tool."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from text_recognizer.errors import DataError


class DatasetExport(ABC):
    """Arguments of the constructor are what stands after the name in `--as NAME:KEY=VALUE,…`.

    Attributes:
        target: what the datasets show that it can write: "line" or "character".
    """

    target: ClassVar[str] = "line"

    @abstractmethod
    def write(self, dataset: Any, output: Path) -> None:
        """Writes all splits of a prepared dataset. Raises DataError: it is there already, or cannot be written.

        Args:
            output: the file or folder to be made.
        """


def refuse_existing(output: Path) -> None:
    """Raises DataError where a new folder cannot be made."""
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is there already. Give another name, or remove it.")
    if output.exists() and any(output.iterdir()):
        raise DataError(f"{output} is not empty. Give another folder, or empty it.")
