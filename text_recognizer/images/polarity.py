"""Whether the ink of a page is dark or light, and whether it has any."""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_form import BLANK_LEVELS, Grey

_PIECES = 64  # of the longer side; the level around a point is that of two of them
_MOST_POINTS = 1_000_000


def with_dark_ink(page: Grey) -> Grey | None:
    """A page (H, W) with its ink darker than its paper; None where nothing stands out from the paper."""
    from PIL import Image, ImageFilter

    # A stroke survives where the noise of single pixels is averaged away.
    smooth = Image.fromarray(page).filter(ImageFilter.BoxBlur(1))
    counts = np.array(smooth.histogram())
    paper, present = median_of(counts), np.flatnonzero(counts)
    if max(present[-1] - paper, paper - present[0]) < BLANK_LEVELS:
        return None
    # Ink is rare and far from the level around it. That level, not the page's: half a page may lie in shadow.
    around = smooth.filter(ImageFilter.BoxBlur(max(page.shape) / _PIECES))
    step = math.ceil(math.sqrt(page.size / _MOST_POINTS))
    levels, level = (np.asarray(one)[::step, ::step].astype(np.float64) for one in (smooth, around))
    return np.invert(page) if np.vdot((levels - level) ** 2, levels - level) > 0 else page


def median_of(counts: NDArray[np.int64]) -> float:
    """The median of grey levels, of which there are so many of each; sorting a page takes seconds."""
    middle = (counts.sum() - 1) / 2
    lower, upper = np.searchsorted(counts.cumsum(), [math.floor(middle), math.ceil(middle)], side="right")
    return float(lower + upper) / 2
