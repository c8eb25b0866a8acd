"""DatasetExport: a form in which a dataset is written for another tool."""

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
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


@contextlib.contextmanager
def new_folder(output: Path) -> Iterator[None]:
    """Makes a folder to write into, or takes an empty one; after an error nothing is left of what was written.

    Raises:
        DataError: there is something already, or it cannot be written.
    """
    is_new = not output.exists()
    if not is_new and not output.is_dir():
        raise DataError(f"{output} is there already. Give another name, or remove it.")
    if not is_new and any(output.iterdir()):
        raise DataError(f"{output} is not empty. Give another folder, or empty it.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for entry in output.iterdir() if output.is_dir() else ():
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
        if is_new:
            with contextlib.suppress(OSError):
                output.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"cannot write {error.filename or output}: {error.strerror or error}.") from error
        raise
