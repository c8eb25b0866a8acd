"""The picture of a character as a recogniser gets it: square, dark on white, its ink at full strength."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_form import UnfitImageError

Grey = NDArray[np.uint8]

PAPER = 255
FAINTEST_INK = 8  # grey levels between paper and the darkest stroke; below, a picture shows nothing


@dataclass(frozen=True)
class CharacterForm:
    """How a picture of one character, dark on white and cut to its strokes, becomes one of a dataset.

    Args:
        side: of the result, in pixels.
        margin_px: paper on every side of the strokes.
        stretch: height and width are scaled on their own, so that every character fills the square; otherwise it keeps
            its proportions and is centred.
    """

    side: int
    margin_px: int = 2
    stretch: bool = False

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
        scale = room / max(height, width)
        new = (room, room) if self.stretch else (max(1, round(width * scale)), max(1, round(height * scale)))
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
