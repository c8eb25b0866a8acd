"""IAM paragraphs with marked lines, for line detectors."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.characters.base import Fraction, SubsampleFraction
from text_recognizer.datasets.formats.iam import read_form_xml
from text_recognizer.datasets.formats.page_xml import PageLine, PageText
from text_recognizer.datasets.lines.iam import form_outline
from text_recognizer.datasets.lines.iam_files import IamFiles, IamSplit, refuse_unknown_writers
from text_recognizer.datasets.lines.members import UNUSED
from text_recognizer.datasets.pages.base import Margin, Marks, PageStep, ParagraphDataset, Side
from text_recognizer.datasets.storage.strings import unpacked
from text_recognizer.datasets.transcribed.alto_files import ArchivePage
from text_recognizer.errors import DataError
from text_recognizer.settings import given_path


class IamParagraphsDataset(ParagraphDataset):
    """The handwritten paragraphs of IAM's forms.

    A form belongs to the split of its lines, so no writer is in two of them. The Full Stack Deep Learning recogniser
    drew 20 % of the forms at random for its test, whoever wrote them.

    Args:
        subsample_fraction: keep this share of the forms of every split, chosen at random.
        path, source: where IAM's files are, as for IamDataset. Needs xml and forms.
        split: as for IamDataset; "writers" holds out whole writers at random.
        validation_fraction, test_fraction: fraction of the training forms held out with split "writers".
    """

    def __init__(
        self,
        subsample_fraction: SubsampleFraction | None = None,
        path: str | None = None,
        split: IamSplit | None = None,
        side: Side = 256,
        margin: Margin = 50,
        preprocessing: tuple[PageStep, ...] = ("contrast",),
        validation_fraction: Fraction = 0.1,
        test_fraction: Fraction = 0.2,
        source: str | None = None,
        marks: Marks = "lines",
    ) -> None:
        super().__init__(
            side=side,
            margin=margin,
            preprocessing=preprocessing,
            marks=marks,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            subsample_fraction=subsample_fraction,
        )
        self.path = given_path(path) if path else None
        self.table = source
        self._given_split: IamSplit | None = split

    def fetch(self) -> None:
        self.files.fetch()
        if self.iam_split not in ("writers", "aachen"):
            self.files.fetch_lists()

    def outlook(self) -> str | None:
        with suppress(DataError):  # they are yet to be fetched
            return super().outlook()
        return None

    @property
    def iam_split(self) -> IamSplit:
        return self._given_split or ("lwitlrt" if self.files.layout.has_lists else "writers")

    def depends_on(self) -> dict[str, Any]:
        return self.files.state

    def pages(self) -> Iterator[ArchivePage]:
        for path in self.files.form_files:
            try:
                form = read_form_xml(path)
            except DataError as error:
                yield ArchivePage(path.stem, PageText(), path, problem=str(error))
                continue
            lines = tuple(PageLine(line.name, line.text, form_outline(line.box)) for line in form.lines)
            text = PageText("", form.width, form.height, lines)
            yield ArchivePage(form.name, text, self.files.image(form.name), form.writer)

    def given_splits(self, names: Sequence[str], stored: NDArray[np.int8]) -> NDArray[np.int8]:
        if self.iam_split == "writers":
            groups = unpacked("groups", self.store.arrays())
            unknown = [name for name, group in zip(names, groups, strict=True) if not group]
            refuse_unknown_writers(
                self.label, "form", unknown, f"the XML files in {self.files.root} (attribute writer-id)"
            )
            return stored
        places = {
            form: SPLIT_NAMES.index(split)
            for split, listed in self.files.split_names(self.iam_split).items()
            for one in listed
            for form in (one, one.rpartition("-")[0])
        }
        return np.array([places.get(name, UNUSED) for name in names], np.int8)

    @cached_property
    def files(self) -> IamFiles:
        return IamFiles(self.path, self.table)
