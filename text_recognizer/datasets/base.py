"""Dataset and Split: the data of a recogniser. numpy only."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, Normalization

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
# For each split, the later splits with which it must not share a sample.
LATER: dict[SplitName, tuple[SplitName, ...]] = {"validation": ("test",), "train": ("test", "validation")}
Ink = Literal["light", "dark"]
# Batches of lines are padded to a multiple of this: few shapes to prepare kernels for, little wasted computation.
WIDTH_STEP_PX = 32


@dataclass(frozen=True)
class DataSpec:
    """The properties of a dataset that a model needs to be built.

    Args:
        input_shape: (height, width, channels) of an image in pixels; the width is None for lines of different widths.
        classes: the text of each class id. For lines, the first is "": the CTC blank and the padding of labels.
        target: what an image shows: "character", "line" (one text), "pixels" (a class for every pixel).
        ink: "light" if the writing is brighter than its background, as in MNIST.
        margin_px: background on every side of a character's box, to which foreign images are fitted.
        cut: characters were cropped to their strokes, so foreign images are too, even those of the dataset's size.
        max_length: maximum number of characters in a line; None if unknown.
        normalization: Unicode form of the texts of lines, as in text_recognizer.charset.
        preprocessing: steps applied to the images of lines, in this order; see images.line_form.
        straightened: whether lines that slope or bend were straightened along their baseline, or cut out unchanged.
    """

    input_shape: tuple[int, Any, int]
    classes: tuple[str, ...]
    target: str = "character"
    ink: Ink = "light"
    margin_px: int = 0
    max_length: int | None = None
    normalization: Normalization = "none"
    preprocessing: tuple[str, ...] = ()
    straightened: bool = False
    cut: bool = False

    @property
    def charset(self) -> Charset:
        """The characters behind the class ids of lines. Raises DataError: the classes are not those of lines."""
        return Charset.from_classes(self.classes, self.normalization)

    @property
    def background(self) -> int:
        """The grey level behind the ink."""
        return 0 if self.ink == "light" else 255


class Split(ABC):
    """Samples of one split. Images stay in the memory-mapped store until a batch is asked for."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, positions: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
        """Samples by position (0 to len-1): arrays with a leading batch axis, at least "image" (uint8) and "label"."""

    @abstractmethod
    def text(self, position: int) -> str:
        """The text of a sample."""

    @property
    def texts(self) -> list[str]:
        """(n,) the texts of the samples."""
        return list(map(self.text, range(len(self))))

    def image(self, position: int) -> NDArray[np.uint8]:
        """The image (H, W, C) of one sample, without padding."""
        return np.asarray(self.batch(np.array([position]))["image"][0])

    @property
    def ids(self) -> list[str] | None:
        """(n,) names of the samples; None where they have none."""
        return None

    @property
    def groups(self) -> list[str] | None:
        """(n,) the group of each sample, such as its writer or page; None if unknown."""
        return None

    @property
    def widths(self) -> NDArray[np.int32] | None:
        """(n,) widths of the images in pixels, without padding; None if all are of one width."""
        return None

    partly_annotated: frozenset[str] = frozenset()  # names of pages with lines that are not annotated

    def line_boxes(self, position: int) -> NDArray[np.float32] | None:  # noqa: ARG002 - of pages only
        """(lines, 4) x1, y1, x2, y2 of the lines of a page in pixels of its image; None if unknown."""
        return None


class Dataset(ABC):
    """A dataset by name. Its constructor's arguments are the spec's `dataset_args`; it touches no file.

    >>> from text_recognizer.datasets.characters.digits import DigitsDataset
    >>> digits = DigitsDataset(subsample_fraction=0.1)
    >>> digits.prepare()
    >>> digits.split("train").batch(np.arange(32))["image"].shape  # by positions; np is numpy
    (32, 8, 8, 1)
    """

    def __repr__(self) -> str:
        """The class with the arguments that are not the defaults."""
        parameters, known = inspect.signature(type(self)).parameters, vars(self)
        shown = [f"{name}={known[name]!r}" for name, one in parameters.items() if name in known]
        usual = {f"{name}={one.default!r}" for name, one in parameters.items()}
        others = ["…"] if parameters.keys() - known.keys() else []  # the class keeps them in another form
        return f"{self.name}({', '.join([one for one in shown if one not in usual] + others)})"

    joined: "Sequence[Dataset]" = ()  # the datasets of its `parts`, for one that joins others

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    @abstractmethod
    def data_spec(self) -> DataSpec:
        """Known before `prepare`; of lines, it may be read off the files that hold the texts."""

    @abstractmethod
    def prepare(self) -> None:
        """Fetches, verifies and converts into the store. Idempotent; safe when many processes call it at once.

        The only place that touches the network.

        Raises:
            DataError: a file cannot be had or is damaged.
        """

    @abstractmethod
    def is_prepared(self) -> bool:
        """Whether `prepare` has nothing left to do; looks at the disk only."""

    def outlook(self) -> str | None:
        """What `prepare` would convert, as text; None if that is not known immediately."""
        return None

    @abstractmethod
    def split(self, name: SplitName) -> Split:
        """One split; the three share no sample. Needs `prepare` first."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the content and of how it was split. Needs `prepare` first."""

    @property
    @abstractmethod
    def store_path(self) -> str:
        """The folder that holds the converted data, for people and trackers."""

    @property
    def store_paths(self) -> tuple[str, ...]:
        """The folders that hold it, where there are several."""
        return (self.store_path,)

    @property
    def rejected(self) -> list[Any]:
        """`Rejected` samples with reasons, for the web page; override it as a property. Needs `prepare` first."""
        return []

    def remarks(self, name: SplitName) -> list[str]:  # noqa: ARG002 - most have none
        """One sentence about each thing that makes a split harder to read than it need be. Needs `prepare` first."""
        return []

    def sizes(self) -> dict[SplitName, int]:
        """Number of samples in each split. Needs `prepare` first."""
        return {name: len(self.split(name)) for name in SPLIT_NAMES}
