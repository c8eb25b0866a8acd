"""IAM lines in the form of the Full Stack Deep Learning recogniser: 28 x 952 pixels, light on dark."""

from text_recognizer.charset import Normalization
from text_recognizer.datasets.base import Ink
from text_recognizer.datasets.characters.base import SubsampleFraction
from text_recognizer.datasets.lines.args import Characters, Height, Length, Width
from text_recognizer.datasets.lines.iam import LONGEST_LINE, IamDataset, IamFilter
from text_recognizer.datasets.lines.iam_files import IamSplit
from text_recognizer.images.line_form import Step


class IamLinesDataset(IamDataset):
    """IAM lines padded to one width, so that networks with a fixed number of outputs can read them.

    The Full Stack Deep Learning recogniser trained on 7,101 lines, which are the 6,161 and 940 lines of training and
    validation here, and chose its weights by the 1,861 test lines; here the test lines are left alone.

    Args:
        subsample_fraction: keep this share of the lines of every split, chosen at random.
        path, split, filters, standardize, source: see datasets.lines.iam.IamDataset.
        height, width: of every picture, in pixels. A longer line is made smaller until it fits.
        max_length: longer lines are rejected; the outputs of networks with one output a character.
        ink, preprocessing, charset, normalization, unknown_characters: see datasets.lines.args.LineArgs.
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
