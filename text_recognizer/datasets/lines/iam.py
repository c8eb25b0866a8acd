"""IAM: 13,353 handwritten English lines of 657 writers."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from string import ascii_letters, digits
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Characters, Charset, Normalization
from text_recognizer.datasets.base import SPLIT_NAMES, Ink
from text_recognizer.datasets.characters.base import Fraction, SubsampleFraction
from text_recognizer.datasets.formats.iam import (
    Box,
    IamForm,
    IamLine,
    flor_keeps,
    flor_text,
    read_forms_txt,
    read_lines_txt,
)
from text_recognizer.datasets.formats.page_xml import Points
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.args import Height, Length, Width
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.iam_files import IamFiles, IamSplit, ImagesOf, TextsOf, refuse_unknown_writers
from text_recognizer.datasets.lines.line_list import ImageFile
from text_recognizer.datasets.lines.members import UNUSED
from text_recognizer.datasets.lines.pool import LinePool
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.transcribed.page_images import LinesOfPage, box_outline
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.line_steps import Step
from text_recognizer.settings import given_path
from text_recognizer.wording import did_you_mean, received

IamFilter = Literal["ok", "flor2020"]

CHARACTERS = tuple(sorted(" !\"#&'()*+,-./:;?" + digits + ascii_letters))  # the 79 that occur
LONGEST_LINE = 97


class IamDataset(LineDataset):
    """Lines of the IAM handwriting database, in their aspect ratio.

    The files are those of the official download, unpacked or not, or the forms and XML files that the Full Stack Deep
    Learning recogniser packed (table iamdb): which of them are there decides what texts, images and split are by
    default. Split "aachen" also needs three lists of lines or forms (tr.lst, va.lst, te.lst or the like) in a
    folder called aachen beside them; papers and recipes that use the split come with them. Without a charset, lines
    have the 79 characters of IAM. The fractions of splits are for split "writers".

    Source: Marti and Bunke (2002), "The IAM-database: an English sentence database for offline handwriting
    recognition".

    Args:
        path: the folder with IAM's files; by default that of the table in the data folder, where it is fetched.
        source: the table of the registry; by default iam, or iamdb where only that was fetched.
        texts: "ascii" separates punctuation from words (lines.txt); "xml" has the texts that the writers copied.
        images: "lines" are IAM's own line images; "forms" cuts the boxes of lines out of the pages.
        split: "lwitlrt" is IAM's large writer-independent text line recognition task, its two validation sets together
            (6,161, 1,840 and 1,861 lines); "flor2020" takes the first alone (900), "fsdl" the second (940); "aachen";
            "writers" holds out whole writers at random, as forms.txt or the XML files name them. By default lwitlrt,
            or writers for forms that come without lists.
        filters: "ok" keeps lines whose segmentation into words is marked as correct; "flor2020" also drops those that
            are only punctuation, as Flor et al. (2020) do.
        standardize: change the texts as Flor et al. (2020) do: one kind of dash, quote and bracket, blanks around
            punctuation.
    """

    usual_split: IamSplit = "lwitlrt"  # of files with lists

    def __init__(
        self,
        path: str | None = None,
        texts: TextsOf | None = None,
        images: ImagesOf | None = None,
        split: IamSplit | None = None,
        filters: tuple[IamFilter, ...] = (),
        standardize: bool = False,
        height: Height = 40,
        max_width: Width | None = 2048,
        ink: Ink = "light",
        preprocessing: tuple[Step, ...] = ("contrast",),
        charset: Characters | None = None,
        normalization: Normalization = "NFC",
        unknown_characters: str = "error",
        max_length: Length | None = None,
        validation_fraction: Fraction = 0.1,
        test_fraction: Fraction = 0.1,
        subsample_fraction: SubsampleFraction | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(
            height=height,
            max_width=max_width,
            ink=ink,
            source_ink="dark",
            preprocessing=preprocessing,
            charset=charset,
            normalization=normalization,
            unknown_characters=unknown_characters,
            max_length=max_length,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            subsample_fraction=subsample_fraction,
        )
        if split not in (None, *get_args(IamSplit)):
            known = get_args(IamSplit)
            raise SpecError(
                f"split must be one of {', '.join(known)}.{did_you_mean(str(split), known)} {received(split)}"
            )
        self.path = given_path(path) if path else None
        self._given: tuple[TextsOf | None, ImagesOf | None, IamSplit | None] = texts, images, split
        self.table = source
        self.filters = filters
        self.standardize = standardize

    def fetch(self) -> None:
        self.files.fetch()
        if self.iam_split == "writers":
            self.files.require_writers()
        elif self.iam_split != "aachen":
            self.files.fetch_lists()

    @property
    def texts(self) -> TextsOf:
        return self._given[0] or self.files.layout.texts

    @property
    def images(self) -> ImagesOf:
        return self._given[1] or self.files.layout.images

    @property
    def iam_split(self) -> IamSplit:
        return self._given[2] or (self.usual_split if self.files.layout.has_lists else "writers")

    def scan(self) -> tuple[Charset, int]:
        if self.charset is not None:
            return super().scan()
        return Charset(CHARACTERS, self.normalization), LONGEST_LINE

    def depends_on(self) -> dict[str, Any]:
        return {
            **self.files.state,
            "texts_of": self.texts,
            "images_of": self.images,
            "filters": sorted(self.filters),
            "standardize": self.standardize,
        }

    def sources(self) -> Iterator[LineSource]:
        images = self.images
        for line in self._lines:
            text = flor_text(line.text) if self.standardize else line.text
            sample = LineSample(line.name, text, self._writers.get(line.form) or line.form)
            if images == "lines":
                yield ImageFile((sample,), self.files.image(line.name))
                continue
            form = self._forms.get(line.form)
            if line.box is None:
                sample = replace(sample, problem="its box has no area")
            size = (form.width, form.height) if form else (0, 0)
            yield LinesOfPage((sample,), self.files.image(line.form), (form_outline(line.box),), *size)

    def given_splits(self, pool: LinePool) -> NDArray[np.int8]:
        if self.iam_split == "writers":
            self.files.require_writers()
            unknown = [name for name in pool.names if not self._writers.get(name.rpartition("-")[0])]
            files = "forms.txt" if self.texts == "ascii" and self.files.find("forms.txt") else "the XML files"
            refuse_unknown_writers(self.label, "line", unknown, f"{files} in {self.files.root}")
            return np.full(len(pool), -1, np.int8)
        listed = self.files.split_names(self.iam_split)
        places = {name: SPLIT_NAMES.index(split) for split, names in listed.items() for name in names}
        names = list(pool.names)
        found = [places.get(name, places.get(name.rpartition("-")[0], UNUSED)) for name in names]
        for split, members in listed.items():
            if SPLIT_NAMES.index(split) not in found:
                lists = ", ".join(map(str, self.files.split_lists(self.iam_split)[split]))
                raise DataError(f"{self.label}: none of the {len(members):,} names in {lists} is among the lines.")
        return np.array(found, np.int8)

    @property
    def split_key(self) -> dict[str, Any]:
        lists = [path for paths in self.files.split_lists(self.iam_split).values() for path in paths]
        # Splits that were stored before writers were required are rebuilt.
        writers = {"writers": "required"} if self.iam_split == "writers" else {}
        return {"split": self.iam_split, "lists": state_of_files(lists), **writers}

    @cached_property
    def files(self) -> IamFiles:
        return IamFiles(self.path, self.table)

    @cached_property
    def _lines(self) -> list[IamLine]:
        if self.texts == "xml":
            lines = [line for form in self.files.forms for line in form.lines]
        else:
            lines = read_lines_txt(self.files.one("lines.txt"))
        if self.filters:
            lines = [line for line in lines if line.is_ok]
        if "flor2020" in self.filters:
            lines = [line for line in lines if flor_keeps(flor_text(line.text))]
        return lines

    @cached_property
    def _writers(self) -> dict[str, str]:
        """The writer of each form; empty if no file has them."""
        if self.texts == "ascii" and (path := self.files.find("forms.txt")):
            return read_forms_txt(path)
        return {name: form.writer for name, form in self._forms.items()}

    @cached_property
    def _forms(self) -> dict[str, IamForm]:
        return {form.name: form for form in self.files.forms} if self.files.form_files else {}


class IamLinesDataset(IamDataset):
    """IAM lines padded to one width, so that networks with a fixed number of outputs can read them.

    The Full Stack Deep Learning recogniser trained on 7,101 lines, which are the 6,161 and 940 lines of training and
    validation here, and chose its weights by the 1,861 test lines; here the test lines are left alone.

    Args:
        subsample_fraction: keep this share of the lines of every split, chosen at random.
        height, width: size of every image in pixels. A longer line is scaled down to fit.
        max_length: maximum length in characters, which is the number of outputs of networks with one output per
            character; longer lines are rejected.
    """

    usual_split = "fsdl"

    def __init__(
        self,
        subsample_fraction: SubsampleFraction | None = None,
        path: str | None = None,
        split: IamSplit | None = None,
        filters: tuple[IamFilter, ...] = (),
        standardize: bool = False,
        height: Height = 28,
        width: Width = 952,
        max_length: Length = LONGEST_LINE,
        ink: Ink = "light",
        preprocessing: tuple[Step, ...] = ("contrast",),
        charset: Characters | None = None,
        normalization: Normalization = "NFC",
        unknown_characters: str = "error",
        source: str | None = None,
    ) -> None:
        super().__init__(
            path,
            split=split,
            filters=filters,
            standardize=standardize,
            height=height,
            ink=ink,
            preprocessing=preprocessing,
            charset=charset,
            normalization=normalization,
            unknown_characters=unknown_characters,
            max_length=max_length,
            subsample_fraction=subsample_fraction,
            source=source,
        )
        self.width = width


def form_outline(box: Box | None) -> Points:
    """A box of a form's XML file as a polygon; empty without a box."""
    return () if box is None else box_outline(box[0], box[1], box[0] + box[2], box[1] + box[3])
