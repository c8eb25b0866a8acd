"""The arguments shared by datasets of text lines: fields that their constructors inherit, each with its own defaults.

A dataset that fixes an argument declares it as `field(default=…, init=False)`.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from text_recognizer.charset import Characters, Normalization
from text_recognizer.datasets.base import Ink
from text_recognizer.datasets.characters.base import Fraction, SubsampleFraction
from text_recognizer.images.line_form import SourceInk
from text_recognizer.images.line_steps import Step

Height = Annotated[int, Ge(8), Le(1024)]
Width = Annotated[int, Ge(8), Le(65_536)]
Length = Annotated[int, Ge(1)]
UNKNOWN_RULES = ("error", "drop", "reject", "add")


@dataclass(kw_only=True, eq=False, repr=False)
class LineArgs:
    """The arguments shared by datasets of lines.

    Args:
        height: height of every line in pixels. Lines keep their aspect ratio.
        max_width: a line that would be wider is scaled down to fit.
        width: pads all images to this width; longer lines are scaled down to fit. null keeps each line's own width.
        ink: polarity of the stored images.
        source_ink: polarity of the files; "auto" detects it for each image.
        preprocessing: steps, applied in the order given: "illumination", "deslant", "contrast".
        charset: a list of characters; or the path of a file that has them; or a bundle, named as for `initial_weights`.
            None takes the characters that occur in the texts.
        normalization: Unicode form of the texts: NFC, NFD, NFKC, NFKD or none.
        unknown_characters: how characters outside the charset are treated: "error", "drop" them, "reject" the line,
            "add" them to the end of the charset, or one character that replaces them. The text that a reading is
            compared with keeps them: a character that cannot be written counts as an error.
        max_length: maximum length in characters of the charset; longer lines are rejected.
        validation_fraction: share of the training lines held out, whole writers or pages, if the files have no
            validation split.
        test_fraction: the same for the test split.
        subsample_fraction: keep this share of the lines of every split, chosen at random.
    """

    grouped_by: ClassVar[str | None] = None  # the argument that says which lines must not be in two splits

    height: Height = 40
    max_width: Width | None = 2048
    width: Width | None = None
    ink: Ink = "light"
    source_ink: SourceInk = "auto"
    preprocessing: tuple[Step, ...] = ("contrast",)
    charset: Characters | None = None
    normalization: Normalization = "NFC"
    unknown_characters: str = "error"
    max_length: Length | None = None
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    subsample_fraction: SubsampleFraction | None = None
