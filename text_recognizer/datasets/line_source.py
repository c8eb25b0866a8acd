"""Sources of lines: what is known of a line before its image is read, and the code that reads it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from text_recognizer.datasets.base import SPLIT_NAMES, SplitName
from text_recognizer.errors import DataError
from text_recognizer.images.line_steps import Grey
from text_recognizer.wording import received


@dataclass(frozen=True)
class LineSample:
    """What is known of a line before its image is read.

    Args:
        name: unique in its dataset.
        group: a writer or page, which must not be in two splits; "" if unknown.
        split: split given by the files; "" leaves it to the dataset.
        problem: why the line cannot be used, if already known.
        noun: "page", "region" or "shard" if it stands for all lines of an unreadable one.
    """

    name: str
    text: str
    group: str = ""
    split: SplitName | Literal[""] = ""
    problem: str = ""
    noun: Literal["", "page", "region", "shard"] = ""

    def __post_init__(self) -> None:
        for name in ("name", "text", "group", "problem"):
            if not isinstance(value := getattr(self, name), str):
                raise DataError(f"{name} of a LineSample must be text. {received(value)}")
        if self.split not in (*SPLIT_NAMES, ""):
            known = ", ".join(SPLIT_NAMES)
            raise DataError(f"split of a LineSample must be one of {known}, or '' for none. {received(self.split)}")


@dataclass(frozen=True)
class LineSource(ABC):
    """Lines whose images come from one source: a file, a page. It is pickled and read in another process."""

    samples: Sequence[LineSample]

    is_page: ClassVar[bool] = False
    is_finished: ClassVar[bool] = False  # whether images are already in the stored form

    @abstractmethod
    def read(self, position: int) -> Grey:
        """The image (H, W) of a sample. Raises DataError, UnfitImageError: there is none."""
