"""How large the writing on a page is."""

import numpy as np
from numpy.typing import NDArray

from text_recognizer.layout.ink import Mask

# How far closely written lines are apart, in widths of a stroke and in heights of letters.
_IN_STROKES, _IN_LETTERS = 16.0, 2.0
_TALLEST_LETTERS = 0.7  # the share of letters that are lower
_SPREAD = 0.2  # of the logarithm of the guess, by which the lines' distance may differ from it


def line_height(strokes: Mask, stroke_width: float) -> float:
    """The height that a line of this page takes, in pixels.

    The guess is by strokes and letters, which rules and wide spacing leave alone; the lines' own distance corrects it.

    Args:
        strokes: (H, W) the upright ones.
    """
    from scipy import ndimage

    parts, _ = ndimage.label(strokes, np.ones((3, 3)))
    heights = np.array([rows.stop - rows.start for rows, _ in ndimage.find_objects(parts)])
    letters = heights[heights > 3 * stroke_width]
    tall = float(np.quantile(letters, _TALLEST_LETTERS)) if len(letters) else 10 * stroke_width
    guess = float(np.sqrt(_IN_STROKES * stroke_width * _IN_LETTERS * tall))
    likeness = _row_likeness(strokes, guess)
    distances = np.arange(1, len(likeness) + 1)
    nearness = np.exp(-0.5 * (np.log(distances / guess) / _SPREAD) ** 2)
    return float(distances[np.argmax(np.maximum(likeness, 0.05) * nearness)])


def _row_likeness(strokes: Mask, guess: float) -> NDArray[np.float64]:
    """How alike the rows of the page are to those 1, 2, 3, … pixels below, in strips three guesses wide."""
    from scipy import ndimage

    height, width = strokes.shape
    total = np.zeros(int(3 * guess) + 1)
    size = height + len(total)
    for strip in np.array_split(strokes, max(1, width // max(1, int(3 * guess))), axis=1):
        profile = ndimage.gaussian_filter1d(strip.sum(axis=1).astype(np.float64), 0.1 * guess)
        profile -= ndimage.gaussian_filter1d(profile, guess)
        total += np.fft.irfft(np.abs(np.fft.rfft(profile, size)) ** 2, size)[: len(total)]
    likeness: NDArray[np.float64] = total[1:] / max(total[0], 1e-9)
    return likeness
