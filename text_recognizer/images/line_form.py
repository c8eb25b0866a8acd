"""The form of line images for a recogniser: one height, one polarity of ink, optionally cleaned.

Datasets apply it when they are prepared, predictors to foreign images: `LineForm.of(data_spec).apply(image)`.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec, Ink
from text_recognizer.images.line_steps import BLANK_LEVELS, STEPS, Grey, Step, even_illumination, levels_of

SourceInk = Literal["light", "dark", "auto"]

MOST_TIMES_AS_WIDE = 200  # maximum aspect ratio; a line across a whole newspaper page has 40
_SHADOW = 0.15  # of the brightest paper: paper that is darker by more is in shadow
_PAPER_SHARE = 0.8  # share of pixels darker than the paper in dense small writing
_SHORT_WORD = 0.02  # of a square as high as the line: less ink than in a digit
_SPECKS, _MOST_ROWS, _FEWEST_ROWS = 0.005, 0.7, 8  # share of the ink; rows filled by writing, as a share and in pixels
_AROUND_WRITING = 0.2  # margin, as a share of the writing's height; readers of tight lines need none
_PAGE_PIECES = 64  # along the longer side of a page; the level around a point is that of two of them
_MOST_PAGE_POINTS = 1_000_000


class UnfitImageError(Exception):
    """An image that cannot be converted to a line; the message is the reason."""


@dataclass(frozen=True)
class LineForm:
    """How an image is converted to a line of a dataset.

    Args:
        height: height of every line in pixels; the width follows from the image.
        max_width: a wider line is scaled down to fit and centred vertically.
        ink: the polarity of the result; its background is 0 for light ink and 255 for dark.
        source_ink: the polarity of the image. "auto" takes what is rarer than the paper.
        preprocessing: steps in their order. "illumination" evens out the paper's brightness, "deslant" makes letters
            upright, "contrast" maps the paper to blank and the ink to full strength.
    """

    height: int
    max_width: int | None = None
    ink: Ink = "light"
    source_ink: SourceInk = "auto"
    preprocessing: tuple[Step, ...] = ()

    @classmethod
    def of(cls, data_spec: DataSpec, source_ink: SourceInk = "auto") -> "LineForm":
        """The form of a dataset's lines, for images from elsewhere."""
        height, width, _ = data_spec.input_shape
        return cls(height, width, data_spec.ink, source_ink, data_spec.preprocessing)  # type: ignore[arg-type]

    def apply(self, image: Grey) -> Grey:
        """The line (height, W) in a grey image (H, W). Raises UnfitImageError: the image is empty or blank."""
        if 0 in image.shape:
            raise UnfitImageError(f"the image is {image.shape[1]} x {image.shape[0]} pixels large")
        if image.shape[1] > MOST_TIMES_AS_WIDE * image.shape[0]:
            raise UnfitImageError(
                f"the image is {image.shape[1]} x {image.shape[0]} pixels large; a line is at most "
                f"{MOST_TIMES_AS_WIDE} times as wide as high"
            )
        dark, paper, light = _outer_levels(image)
        if light - dark < BLANK_LEVELS:
            raise UnfitImageError("the image is blank: nothing stands out from its background")
        if self.source_ink == "light" or (self.source_ink == "auto" and light - paper > paper - dark):
            image = np.invert(image)
        line = self._resized(image, self.height / image.shape[0])
        for step in self.preprocessing:
            line = STEPS[step](line)
        line = self._resized(line, 1.0)  # shearing makes lines wider
        line = self._filled(line, *levels_of(line, _PAPER_SHARE))
        return np.invert(line) if self.ink == "light" else line

    def fitted(self, line: Grey) -> Grey:
        """A converted line (height, W), scaled down if it is too wide."""
        return self._filled(self._resized(line, 1.0), 0 if self.ink == "light" else 255)

    def _resized(self, image: Grey, scale: float) -> Grey:
        """The image scaled to the height, or to the maximum width."""
        height, width = image.shape
        if self.max_width is not None and width * scale > self.max_width:
            scale = self.max_width / width
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if size == (width, height):
            return image
        from PIL import Image

        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))

    def _filled(self, line: Grey, paper: int) -> Grey:
        """A line of lower height, padded with paper above and below."""
        missing = self.height - line.shape[0]
        if missing == 0:
            return line
        above = missing // 2
        return np.pad(line, ((above, missing - above), (0, 0)), constant_values=paper)


def without_shadow(image: Grey) -> Grey:
    """An image of a line, with its illumination evened out if its paper is in shadow.

    In pieces half as wide as the line is high, the paper is the level exceeded by a tenth of the pixels; in scans it
    varies by a twentieth. Images of light ink are unchanged.
    """
    if image.shape[1] > MOST_TIMES_AS_WIDE * image.shape[0]:  # not a line, and it would have too many pieces
        return image
    dark, middle, paper, light = _levels_of_pieces(image, max(image.shape[0] // 2, 8), 0.05, 0.5, 0.9, 0.95).T
    has_dark_ink = (middle - dark).sum() > (light - middle).sum()
    return even_illumination(image) if has_dark_ink and np.ptp(paper) > _SHADOW * paper.max() else image


def without_blank_rows(image: Grey, usual: float = 1.0) -> list[Grey]:
    """The image of a line cropped to the rows of its writing: tightly, and with a margin of a fifth of their height.

    Empty if the writing fills most of the image, or most of what it usually fills.

    Args:
        usual: the share of the height that writing usually fills.
    """
    first, end = written_rows(image)
    rows = end - first
    if rows >= _MOST_ROWS * usual * len(image) or rows < _FEWEST_ROWS:
        return []
    return [image[max(0, first - kept) : end + kept] for kept in (0, round(_AROUND_WRITING * rows))]


def written_rows(image: Grey) -> tuple[int, int]:
    """The first row of the writing in an image of a line, and the one after the last; specks are ignored."""
    dark, paper, light = _outer_levels(image)
    has_light_ink = light - paper > paper - dark
    ink = image > (paper + light) / 2 if has_light_ink else image < (dark + paper) / 2
    above = ink.sum(axis=1).cumsum()
    first, last = np.searchsorted(above, np.array([_SPECKS, 1 - _SPECKS]) * above[-1])
    return int(first), int(last) + 1


def with_dark_ink(page: Grey) -> Grey | None:
    """A page (H, W) with its ink darker than its paper; None if nothing stands out from the paper."""
    from PIL import Image, ImageFilter

    # Strokes survive averaging, the noise of single pixels does not.
    smooth = Image.fromarray(page).filter(ImageFilter.BoxBlur(1))
    counts = np.array(smooth.histogram())
    paper, present = median_of(counts), np.flatnonzero(counts)
    if max(present[-1] - paper, paper - present[0]) < BLANK_LEVELS:
        return None
    # Ink is rare and far from the level around it. Not from the page's level: half a page may be in shadow.
    around = smooth.filter(ImageFilter.BoxBlur(max(page.shape) / _PAGE_PIECES))
    step = math.ceil(math.sqrt(page.size / _MOST_PAGE_POINTS))
    levels, level = (np.asarray(one)[::step, ::step].astype(np.float64) for one in (smooth, around))
    return np.invert(page) if np.vdot((levels - level) ** 2, levels - level) > 0 else page


def median_of(counts: NDArray[np.int64]) -> float:
    """The median from a histogram of grey levels; sorting a page takes seconds."""
    middle = (counts.sum() - 1) / 2
    lower, upper = np.searchsorted(counts.cumsum(), [math.floor(middle), math.ceil(middle)], side="right")
    return float(lower + upper) / 2


def _outer_levels(image: Grey) -> list[int]:
    """The darkest and the lightest grey level in an image of a line, and the level of its paper between.

    Half a percent is ignored at both ends; in long lines no more than the ink of a short word.
    """
    height, width = image.shape
    share = min(0.005, _SHORT_WORD * height / width)
    return levels_of(image, share, 0.5, 1 - share)


def _levels_of_pieces(image: Grey, width: int, *shares: float) -> NDArray[np.int64]:
    """(pieces, shares) the same for adjacent pieces of that width; the rest on the right is ignored."""
    height, width = image.shape[0], min(width, image.shape[1])
    pieces = max(math.ceil(image.shape[1] / width) - 1, 1)
    firsts = 256 * np.arange(pieces)  # offsets of the pieces' levels: all are counted at once
    marked = image[:, : pieces * width].reshape(height, pieces, width) + firsts[:, None].astype(np.uint32)
    counts = np.cumsum(np.bincount(marked.ravel(), minlength=256 * pieces))
    pixels = height * width
    wanted = pixels * np.arange(pieces)[:, None] + np.ceil(np.array(shares) * pixels)
    return np.asarray(np.searchsorted(counts, wanted) - firsts[:, None])
