"""The picture of a character as a recogniser gets it: square, dark on white, its ink at full strength."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_form import UnfitImageError

Grey = NDArray[np.uint8]

PAPER = 255
INK_THRESHOLD = 0.3  # of the strongest ink; what is fainter does not count for where a character is
FAINTEST_INK = 8  # grey levels between paper and the darkest stroke; below, a picture shows nothing


@dataclass(frozen=True)
class CharacterForm:
    """How a picture of one character, dark on white and cut to its strokes, becomes one of a dataset.

    Args:
        side: of the result, in pixels.
        margin_px: paper on every side of the strokes.
        stretch: height and width are scaled on their own, so that every character fills the square; otherwise it keeps
            its proportions and is centred.
        enlarge: also enlarges a picture that is smaller than the square. Where all pictures were scanned alike, keeping
            their size tells a dot from a circle.
    """

    side: int
    margin_px: int = 2
    stretch: bool = False
    enlarge: bool = True

    def apply(self, picture: Grey) -> Grey:
        """(side, side) of a grey picture (H, W): each pixel is the mean of the area that it covers.

        Raises:
            UnfitImageError: the picture is empty or blank.
        """
        from PIL import Image

        height, width = picture.shape
        if 0 in picture.shape:
            raise UnfitImageError(f"the picture is {width} x {height} pixels large")
        darkest = int(picture.min())
        if PAPER - darkest < FAINTEST_INK:
            raise UnfitImageError("the picture is blank: nothing in it stands out from its background")
        room = self.side - 2 * self.margin_px
        scales = [room / width, room / height] if self.stretch else [room / max(height, width)] * 2
        if not self.enlarge:
            scales = [min(scale, 1.0) for scale in scales]
        new = (max(1, round(width * scales[0])), max(1, round(height * scales[1])))
        shrinks = new[0] <= width and new[1] <= height
        # Pillow's box filter is the mean of an area when it shrinks, and no interpolation at all when it enlarges.
        method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        resized = np.asarray(Image.fromarray(picture).resize(new, method))
        placed = np.full((self.side, self.side), PAPER, np.uint8)
        top, left = (self.side - new[1]) // 2, (self.side - new[0]) // 2
        placed[top : top + new[1], left : left + new[0]] = _full_strength(darkest)[resized]
        return placed


_STRENGTHS: dict[int, NDArray[np.uint8]] = {}


def _full_strength(darkest: int) -> NDArray[np.uint8]:
    """(256,) grey levels stretched so that `darkest` becomes black and paper stays white."""
    if darkest not in _STRENGTHS:
        levels = PAPER - (PAPER - np.arange(256)) * (PAPER / (PAPER - darkest))
        _STRENGTHS[darkest] = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    return _STRENGTHS[darkest]


def as_dark_ink(picture: Grey, source_ink: Literal["dark", "light", "auto"] = "auto") -> Grey:
    """A picture dark on white, cut to its strokes.

    Args:
        picture: (H, W) grey, any margins.
        source_ink: "auto" takes what differs most from the border.
    """
    if 0 in picture.shape:
        return picture
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    background = float(np.median(border))
    if source_ink == "light" or (
        source_ink == "auto" and float(picture.max()) - background > background - picture.min()
    ):
        picture = np.invert(picture)
        background = PAPER - background
    # Off-white paper becomes white: what is left is ink.
    ink = np.clip(background - picture.astype(np.float32), 0, None) * (PAPER / max(background, 1.0))
    strong = ink > INK_THRESHOLD * ink.max(initial=0.0)
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if not len(rows):
        return np.full_like(picture, PAPER)
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.asarray(PAPER - np.rint(np.minimum(cut, PAPER)), np.uint8)
