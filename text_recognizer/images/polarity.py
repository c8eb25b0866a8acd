"""Whether the ink of a page is dark or light, and whether it has any."""

import math

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_form import BLANK_LEVELS

Grey = NDArray[np.uint8]


def with_dark_ink(page: Grey) -> Grey | None:
    """A page (H, W) with its ink darker than its paper; None where nothing stands out from the paper."""
    from PIL import Image, ImageFilter

    # A stroke survives where the noise of single pixels is averaged away.
    counts = np.array(Image.fromarray(page).filter(ImageFilter.BoxBlur(1)).histogram())
    paper, present = median_of(counts), np.flatnonzero(counts)
    if max(present[-1] - paper, paper - present[0]) < BLANK_LEVELS:
        return None
    # Squares: a page has far more paper than ink, and its levels scatter on both sides.
    levels = np.arange(256)
    above, below = np.maximum(levels - paper, 0) ** 2 @ counts, np.maximum(paper - levels, 0) ** 2 @ counts
    return np.invert(page) if above > below else page


def median_of(counts: NDArray[np.int64]) -> float:
    """The median of grey levels, of which there are so many of each; sorting a page takes seconds."""
    middle = (counts.sum() - 1) / 2
    lower, upper = np.searchsorted(counts.cumsum(), [math.floor(middle), math.ceil(middle)], side="right")
    return float(lower + upper) / 2
