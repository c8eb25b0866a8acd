"""DatasetExport: a format in which a dataset is written for another tool."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar


class DatasetExport(ABC):
    """Constructor arguments are given after the name in `--as NAME:KEY=VALUE,…`.

    Attributes:
        target: the kind of dataset that it can write: "line" or "character".
    """

    target: ClassVar[str] = "line"

    @abstractmethod
    def write(self, dataset: Any, output: Path) -> None:
        """Writes all splits of a prepared dataset. Raises DataError: the output exists, or cannot be written.

        Args:
            output: the file or folder to write.
        """
