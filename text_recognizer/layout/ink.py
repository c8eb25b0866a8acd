"""The ink of a page: pixels darker than the surrounding paper and thin enough to be writing, and the writing's size."""

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_WINDOW_PX = 31  # about the line distance in the analysed image
_SENSITIVITY = 0.2  # Sauvola's k
_LEAST_CONTRAST = 20.0  # grey levels of deviation that count as full contrast
_DARK = 0.6  # of the paper's level: a darker surrounding is a shadow, a border or a blot
_CELL_PX = 16
_DARKEST_PAPER = 0.3  # of the page's lightest: darker areas are not paper in shadow
_SOLID = 4  # stroke widths on every side: thicker ink is not writing
_SPECK = 2  # squares of the stroke width: less ink is a speck
_UPRIGHT = 1.35  # stroke widths of unbroken ink from top to bottom, more than rules and flourishes have

# The distance of closely written lines, in stroke widths and in letter heights.
_IN_STROKES, _IN_LETTERS = 16.0, 2.0
_TALLEST_LETTERS = 0.7  # share of letters that are lower
_SPREAD = 0.2  # standard deviation of the logarithm of the line distance around the guess


def ink_of(page: Grey) -> tuple[Mask, float]:
    """The ink (H, W) of a page, without borders, blots and specks, and the width of its strokes in pixels.

    Args:
        page: dark ink on light paper, with a line distance of about the window size.

    Source: Sauvola and Pietikäinen (2000), "Adaptive document image binarization".
    """
    from scipy import ndimage

    lit = _evenly_lit(page)
    ink = _sauvola(page)
    width = stroke_width(ink)
    side = int(_SOLID * width) + 1
    dark = ink | (lit < _DARK * np.median(lit))
    solid = ndimage.minimum_filter(dark.view(np.uint8), side)
    if solid.any():
        ink &= ndimage.maximum_filter(solid, side + 2 * int(2 * width) + 1) == 0
    parts, _ = ndimage.label(ink, np.ones((3, 3)))
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    ink = (areas >= _SPECK * width**2)[parts]
    return ink, stroke_width(ink)


def upright_strokes(ink: Mask, width: float) -> Mask:
    """The vertical parts of strokes: letters have them, rules and flourishes hardly any."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_opening(ink, np.ones((max(2, int(np.ceil(_UPRIGHT * width))), 1))))


def stroke_width(ink: Mask) -> float:
    """The mean stroke width in pixels; 1 if there is no ink."""
    narrow = np.minimum(_run_lengths(ink), _run_lengths(ink.T).T)[ink]
    if not len(narrow):
        return 1.0
    lengths = np.arange(1, narrow.max() + 1)
    runs = np.bincount(narrow)[1:] / lengths  # a run of n pixels is counted n times
    middle = int(np.searchsorted(runs.cumsum(), runs.sum() / 2))
    usual = lengths <= 2.5 * middle + 2
    return float((runs * lengths)[usual].sum() / runs[usual].sum())


def _evenly_lit(page: Grey) -> Grey:
    """A page divided by the local level of its paper; large dark areas stay dark."""
    from scipy import ndimage

    height, width = page.shape
    padded = np.pad(page, ((0, -height % _CELL_PX), (0, -width % _CELL_PX)), mode="edge")
    cells = padded.reshape(padded.shape[0] // _CELL_PX, _CELL_PX, -1, _CELL_PX).max(axis=(1, 3)).astype(np.float32)
    around = ndimage.uniform_filter(ndimage.maximum_filter(cells, 5), 5)
    lowest = _DARKEST_PAPER * np.percentile(around, 95)
    paper = np.kron(np.maximum(around, max(lowest, 1.0)), np.ones((_CELL_PX, _CELL_PX), np.float32))[:height, :width]
    return np.minimum(page * (255 / paper), 255).astype(np.uint8)


def _sauvola(page: Grey) -> Mask:
    from scipy import ndimage

    levels = page.astype(np.float32)
    mean = ndimage.uniform_filter(levels, _WINDOW_PX)
    squares = ndimage.uniform_filter(levels * levels, _WINDOW_PX)
    deviation = np.sqrt(np.maximum(squares - mean * mean, 0))
    full = max(float(np.percentile(deviation[::4, ::4], 99)), _LEAST_CONTRAST)
    return np.asarray(levels < mean * (1 + _SENSITIVITY * (np.minimum(deviation / full, 1) - 1)))


def _run_lengths(ink: Mask) -> NDArray[np.int64]:
    """(H, W) length of the horizontal run of ink that each pixel of ink belongs to."""
    steps = np.diff(np.pad(ink, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.nonzero(steps == -1)[1] - np.nonzero(steps == 1)[1]
    found = np.zeros(ink.shape, np.int64)
    found[ink] = np.repeat(lengths, lengths)
    return found


def line_height(strokes: Mask, stroke_width: float) -> float:
    """The height of a line on this page in pixels.

    The guess is from strokes and letters, which rules and wide spacing do not affect; the line distance corrects it.

    Args:
        strokes: (H, W) upright strokes.
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
    """Similarity of the rows of the page to those 1, 2, 3, … pixels below, in strips three guesses wide."""
    from scipy import ndimage

    height, width = strokes.shape
    total = np.zeros(int(3 * guess) + 1)
    size = height + len(total)
    for strip in np.array_split(strokes, max(1, width // max(1, int(3 * guess))), axis=1):
        profile = ndimage.gaussian_filter1d(strip.sum(axis=1).astype(np.float64), 0.1 * guess)
        profile -= ndimage.gaussian_filter1d(profile, guess)
        total += np.fft.irfft(np.abs(np.fft.rfft(profile, size)) ** 2, size)[: len(total)]
    return np.asarray(total[1:] / max(total[0], 1e-9))
