"""DatasetExport: a form in which a dataset is written for another tool."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar


class DatasetExport(ABC):
    """Constructor arguments are given after the name in `--as NAME:KEY=VALUE,…`.

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
