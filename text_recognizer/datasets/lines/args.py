"""The arguments that all datasets of text lines share."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from text_recognizer.charset import Normalization
from text_recognizer.datasets.base import Ink
from text_recognizer.images.line_form import SourceInk, Step

Height = Annotated[int, Ge(8), Le(1024)]
Width = Annotated[int, Ge(8), Le(65_536)]
Length = Annotated[int, Ge(1)]
Characters = list[str] | str
"""A list of characters, or the path of a file or bundle that has them; see datasets.charset_files."""


UNKNOWN_RULES = ("error", "drop", "reject", "add")


@dataclass(frozen=True)
class LineArgs:
    """The arguments that all datasets of lines share.

    Args:
        height: of every line, in pixels. Lines keep their aspect ratio.
        max_width: a line that would be wider is made smaller until it fits.
        ink: the polarity of the stored pictures.
        source_ink: the polarity of the files; "auto" finds it for each picture.
        preprocessing: steps in their order: "illumination", "deslant", "contrast".
        charset: a list of characters; or the path of a file or a bundle that has them. None takes the characters that
            occur in the texts.
        normalization: Unicode form of the texts: NFC, NFD, NFKC, NFKD or none.
        unknown_characters: what becomes of characters outside the charset: "error", "drop" them, "reject" the line,
            "add" them to the charset after those that it has, or one character that replaces them. The text that a
            reading is compared with keeps them: what cannot be written counts as an error.
        max_length: longer lines are rejected; in characters of the charset.
        validation_fraction: share of the training lines held out, whole writers or pages, where the files have no
            validation split.
        test_fraction: the same for the test split.
        subsample_fraction: keep this share of the lines of every split, chosen at random.
    """

    height: int
    max_width: int | None = None
    ink: Ink = "light"
    source_ink: SourceInk = "auto"
    preprocessing: tuple[Step, ...] = ()
    charset: Characters | None = None
    normalization: Normalization = "NFC"
    unknown_characters: str = "error"
    max_length: int | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    subsample_fraction: float | None = None
