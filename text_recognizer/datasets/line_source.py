"""Where lines come from: what is known of a line before its image is read, and who reads it."""

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
        group: what must not be in two splits: a writer, a page; "" where it is unknown.
        split: where the files put it; "" leaves it to the dataset.
        problem: why the line cannot be used, where that is known already.
        noun: "page", "region" or "shard" where it stands for all lines of one that cannot be read.
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
    """Lines whose images come from one place: a file, a page. It is pickled and read in another process."""

    samples: Sequence[LineSample]

    is_page: ClassVar[bool] = False
    is_finished: ClassVar[bool] = False  # whether images come in the form in which they are stored

    @abstractmethod
    def read(self, position: int) -> Grey:
        """The image (H, W) of a sample. Raises DataError, UnfitImageError: why there is none."""
