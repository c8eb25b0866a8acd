"""Base of the datasets of paragraphs: images of one size with a class for every pixel."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES, DataSpec, SplitName
from text_recognizer.datasets.characters.base import SPLIT_SEED, Fraction, SubsampleFraction
from text_recognizer.datasets.formats.page_xml import PageLine, Points
from text_recognizer.datasets.lines.members import Members, completed_splits, subsampled
from text_recognizer.datasets.pages.pixel_split import PixelSplit, paragraph_square
from text_recognizer.datasets.storage.parallel import in_processes, progress
from text_recognizer.datasets.storage.rejected import Rejected, outlook_in_words, packed_rejected, summary_of_all
from text_recognizer.datasets.storage.store import StoreWriter
from text_recognizer.datasets.storage.strings import packed, storable, unpacked
from text_recognizer.datasets.stored import StoredDataset
from text_recognizer.datasets.transcribed.alto_files import ArchivePage
from text_recognizer.datasets.transcribed.page_images import in_pixels, page_scale, visible_part
from text_recognizer.errors import DataError, reason
from text_recognizer.images.grey import MOST_PIXELS, read_grey
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.images.line_steps import STEPS, Grey
from text_recognizer.layout.cores import CORE_CLASSES, core_map

Side = Annotated[int, Ge(32), Le(4096)]
Margin = Annotated[int, Ge(0), Le(1000)]
PageStep = Literal["illumination", "contrast"]
Marks = Literal["lines", "cores"]
CLASSES: dict[Marks, tuple[str, ...]] = {"lines": ("background", "odd line", "even line"), "cores": CORE_CLASSES}
FEW_PAGES = 8  # below, starting processes costs more than they save


@dataclass(frozen=True)
class _Picture:
    page: ArchivePage  # with its lines that are on the image
    lost: tuple[Rejected, ...]  # its other lines
    image: Grey
    label: Grey
    boxes: NDArray[np.float32]
    square: tuple[float, ...]  # left, top, side, then x1, y1, x2, y2 of the shown part, in pixels of the page


@dataclass(kw_only=True, eq=False, repr=False)
class ParagraphDataset(StoredDataset):
    """A dataset of paragraphs for line detectors; subclasses define where the pages come from.

    Images have light ink; a pixel is background (0), or of an odd (1) or even line (2), or with marks "cores" of a
    line (1) or its core (2).

    Args:
        side: side of an image in pixels.
        margin: margin shown around the lines, in pixels of the page.
        preprocessing: steps, applied in the order given: "illumination", "contrast".
        marks: what is predicted for a pixel: "lines" marks odd and even lines; "cores" marks lines and their cores, the
            middle halves, which never touch each other.
        validation_fraction, test_fraction: fraction of the training pages held out (whole writers if known) if the
            files have no validation or test split.
        subsample_fraction: keep this share of the pages of every split, chosen at random.
        partial_pages: names of pages whose lines are not all annotated: they count for the recall of lines only.
    """

    recipe_version = 2

    side: Side = 256
    margin: Margin = 50
    preprocessing: tuple[PageStep, ...] = ("contrast",)
    marks: Marks = "lines"
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    subsample_fraction: SubsampleFraction | None = None
    partial_pages: tuple[str, ...] = ()

    @abstractmethod
    def pages(self) -> Iterable[ArchivePage]:
        """All pages, always in the same order. Reads no images."""

    def given_splits(self, names: Sequence[str], stored: NDArray[np.int8]) -> NDArray[np.int8]:  # noqa: ARG002
        """(N,) the split given by the files for each page: a position in SPLIT_NAMES, -1 for none, UNUSED."""
        return stored

    @property
    def data_spec(self) -> DataSpec:
        shape = (self.side, self.side, 1)
        return DataSpec(
            input_shape=shape, classes=CLASSES[self.marks], target="pixels", preprocessing=self.preprocessing
        )

    def outlook(self) -> str | None:
        pages = list(self.pages())
        rejected = [Rejected(page.name, page.problem) for page in pages if page.problem]
        lines = sum(len(page.text.lines) for page in pages if not page.problem)
        return outlook_in_words(len(pages) - len(rejected), lines, rejected, "page")

    def split(self, name: SplitName) -> PixelSplit:
        return PixelSplit(self.store, self.members[name], self._partly_annotated)

    @cached_property
    def members(self) -> Members:
        """The positions of the pages in each split."""
        arrays = self.store.arrays()
        given = self.given_splits(list(unpacked("names", arrays)), arrays["splits"])
        random = np.random.default_rng(SPLIT_SEED)
        fractions: dict[SplitName, float] = {"validation": self.validation_fraction, "test": self.test_fraction}
        splits = completed_splits(given, list(unpacked("groups", arrays)), fractions, random, self.label, noun="page")
        members: Members = {name: np.flatnonzero(splits == index) for index, name in enumerate(SPLIT_NAMES)}
        return subsampled(members, self.subsample_fraction, random)

    @cached_property
    def _partly_annotated(self) -> frozenset[str]:
        unknown = sorted(set(self.partial_pages) - set(unpacked("names", self.store.arrays())))
        if unknown:
            raise DataError(f"dataset_args.partial_pages names '{unknown[0]}', which is not a page of {self.label}.")
        return frozenset(self.partial_pages)

    @property
    def fingerprint(self) -> str:
        members = {name: rows.tolist() for name, rows in self.members.items()}
        key = {"content": self.store.content_hash, "members": members}
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def recipe(self) -> dict[str, Any]:
        marks = {} if self.marks == "lines" else {"marks": self.marks}  # older stores have no others
        return {"side": self.side, "margin": self.margin, "preprocessing": list(self.preprocessing), **marks}

    def _fill(self, writer: StoreWriter) -> None:
        rejected: list[Rejected] = []
        pictures: list[_Picture] = []
        pages = list(self.pages())
        convert = partial(
            _convert, side=self.side, margin=self.margin, preprocessing=self.preprocessing, marks=self.marks
        )
        processes = 1 if len(pages) < FEW_PAGES else self.processes
        with progress(self.name, len(pages), "page") as done:
            for page, picture in zip(pages, in_processes(convert, pages, processes), strict=True):
                if isinstance(picture, str):
                    rejected.append(Rejected(storable(page.name), picture, noun="page"))
                else:
                    pictures.append(picture)
                    rejected += picture.lost
                done(1)
        if not pictures:
            raise DataError(f"{self.name}: none of its pages can be used. {summary_of_all(rejected, 'item')}")
        for name, array in _arrays(pictures, rejected).items():
            writer.add(name, array)


def _arrays(pictures: Sequence[_Picture], rejected: Sequence[Rejected]) -> dict[str, NDArray[Any]]:
    splits = ("", *SPLIT_NAMES)
    pages = [picture.page for picture in pictures]
    counts = [len(page.text.lines) for page in pages]
    return {
        "images": np.stack([picture.image for picture in pictures]),
        "labels": np.stack([picture.label for picture in pictures]),
        "squares": np.array([picture.square for picture in pictures], np.float64),
        "boxes": np.concatenate([picture.boxes for picture in pictures]),
        "boxes.offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "splits": np.array([splits.index(page.split) - 1 for page in pages], np.int8),
        **packed("texts", [storable(line.text) for page in pages for line in page.text.lines]),
        **packed("names", [storable(page.name) for page in pages]),
        **packed("groups", [storable(page.group) for page in pages]),
        **packed("paths", [storable(str(page.image.absolute())) for page in pages]),
        **packed_rejected(rejected),
    }


def _convert(
    page: ArchivePage, side: int, margin: int, preprocessing: tuple[PageStep, ...], marks: Marks
) -> _Picture | str:
    """The image of a page, or why there is none. Runs in a worker process."""
    try:
        if page.problem:
            raise UnfitImageError(page.problem)
        return _picture(page, read_grey(page.image, page.frame), side, margin, preprocessing, marks)
    except (DataError, UnfitImageError) as error:
        return storable(reason(error))


def _on_image(page: ArchivePage, image: Grey) -> tuple[ArchivePage, list[Points], tuple[Rejected, ...]]:
    """A page with its lines on the image, outlines in pixels; other lines. Raises UnfitImageError: no line is on it."""
    scale = page_scale(image, page.text.width, page.text.height, page.image)
    kept: list[PageLine] = []
    outlines: list[Points] = []
    lost: list[tuple[str, str, str]] = []  # name, reason, text
    for number, line in enumerate(page.text.lines, start=1):
        try:
            outlines.append(visible_part(in_pixels(line.outline, scale), image))
            kept.append(line)
        except UnfitImageError as error:
            lost.append((f"{storable(page.name)}#{number}", str(error), storable(line.text)))
    if lost and not kept:
        reasons = " or ".join(dict.fromkeys(reason for _, reason, _ in lost))
        raise UnfitImageError(f"none of its lines can be used: {reasons}")
    rejected = tuple(Rejected(name, f"{reason}; its page is kept", text, "line") for name, reason, text in lost)
    return replace(page, text=replace(page.text, lines=tuple(kept))), outlines, rejected


def _picture(
    page: ArchivePage, image: Grey, side: int, margin: int, preprocessing: tuple[PageStep, ...], marks: Marks
) -> _Picture:
    """The lines of a page with a margin around them, and paper beyond it, in a square at least as wide as the page."""
    from PIL import Image

    page, shapes, lost = _on_image(page, image)
    rows, columns = image.shape
    outlines = [np.array(shape) for shape in shapes]
    corners = [[*outline.min(axis=0), *outline.max(axis=0)] for outline in outlines]
    boxes = np.array(corners).reshape(-1, 4)
    region = [0.0, 0.0, float(columns), float(rows)]  # a blank page is an example too
    if outlines:
        region = [*(boxes[:, :2].min(axis=0) - margin).tolist(), *(boxes[:, 2:].max(axis=0) + margin).tolist()]
    left, top, right, bottom = region
    square_side = float(np.ceil(max(columns, right - left, bottom - top)))
    if square_side**2 > 2 * MOST_PIXELS:
        raise UnfitImageError(f"its page is too long for its width: {columns} x {rows} pixels")
    corner = np.round(((left + right - square_side) / 2, (top + bottom - square_side) / 2))  # of the square
    square = (*corner.tolist(), square_side)
    shown = paragraph_square(image, square, (left, top, right, bottom))
    shrink = side / square_side
    small = np.asarray(Image.fromarray(shown).resize((side, side), Image.Resampling.BOX))
    for step in preprocessing:
        small = STEPS[step](small)
    drawn = [(outline - corner) * shrink for outline in outlines]
    label = core_map(drawn, side) if marks == "cores" else _line_map(drawn, side)
    shifted = ((boxes - [*corner, *corner]) * shrink).astype(np.float32)
    return _Picture(page, lost, np.invert(small), label, shifted, (*square, left, top, right, bottom))


def _line_map(outlines: Sequence[NDArray[np.float64]], side: int) -> Grey:
    from PIL import Image, ImageDraw

    label = Image.new("L", (side, side))
    draw = ImageDraw.Draw(label)
    for number, outline in enumerate(outlines, start=1):
        draw.polygon([(x, y) for x, y in outline.tolist()], fill=1 if number % 2 else 2)
    return np.asarray(label)
