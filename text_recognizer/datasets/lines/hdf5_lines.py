"""Lines of an HDF5 file as Flor et al. (2020) and their recogniser write it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from text_recognizer.datasets.formats.hdf5_lines import (
    FSDL_PARTS,
    PARTS,
    Grey,
    lines_a_piece,
    read_pictures,
    read_texts,
)
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.args import Height, Width
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.errors import DataError
from text_recognizer.images.line_form import SourceInk
from text_recognizer.images.line_steps import Step
from text_recognizer.settings import given_path


@dataclass(eq=False, repr=False)
class Hdf5LinesDataset(LineDataset):
    """Lines of an HDF5 file as Flor et al. (2020) write it, or the Full Stack Deep Learning recogniser.

    The first has the groups train, valid and test, each with dt (images on their sides) and gt (texts); the second
    x_train, y_train, x_test and y_test (iam_lines.h5, ml_34_….h5: "height": 28, "width": 952). Fractions of splits are
    for files without a group for them.
    `text_recognizer.datasets.exports.hdf5.write_hdf5` writes such a file from any dataset of lines.

    Args:
        path: of the file.
    """

    path: str
    height: Height = field(default=128, kw_only=True)
    max_width: Width | None = field(default=None, kw_only=True)
    source_ink: SourceInk = field(default="dark", init=False)
    preprocessing: tuple[Step, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._path = given_path(self.path)

    def depends_on(self) -> dict[str, Any]:
        if not self._path.is_file():
            raise DataError(f"there is no file {self._path}.")
        return {"file": state_of_files([self._path.absolute()])}

    def sources(self) -> Iterator[LineSource]:
        for part, texts in self._texts.items():
            split, step = (PARTS | FSDL_PARTS)[part], lines_a_piece(self._path, part)
            for first in range(0, len(texts), step):
                rows = range(first, min(first + step, len(texts)))
                samples = [LineSample(f"{part}/{row}", texts[row], split=split) for row in rows]
                yield _Chunk(samples, self._path, part, first)

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return read_texts(self._path)


@dataclass(frozen=True)
class _Chunk(LineSource):
    path: Path
    part: str
    first: int

    def read(self, position: int) -> Grey:
        if self._pictures:
            return self._pictures[position]
        row = self.first + position
        return read_pictures(self.path, self.part, row, row + 1)[0]

    @cached_property
    def _pictures(self) -> list[Grey]:
        """All images; none if one is damaged: then each is read separately, so that only that one is lost."""
        with suppress(DataError):
            return read_pictures(self.path, self.part, self.first, self.first + len(self.samples))
        return []
