"""Random changes of rendered text, light ink on black: rotation and noise."""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Noise = Literal["gaussian", "poisson", "salt", "pepper"]

_BANK_SIZE = 1 << 20
_LONGEST_RUN = 1 << 18
_SPECKS = 0.02  # share of pixels changed by salt or pepper
_GAUSSIAN_DEVIATION = (8, 32)  # grey levels
_POISSON_QUANTA = (8, 32)  # grains of ink that make a pixel full


def centred(line: Grey, height: int) -> Grey:
    """A line in an image of another height: rows are added or cut above and below."""
    missing = height - line.shape[0]
    if missing < 0:
        above = -missing // 2
        return line[above : above + height]
    return np.pad(line, ((missing // 2, missing - missing // 2), (0, 0)))


def turned(line: Grey, degrees: float) -> Grey:
    """A line rotated counter-clockwise about its centre, and scaled down until its ink fits its height."""
    from PIL import Image

    height, width = line.shape
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    rows = np.flatnonzero(line.any(axis=1))
    if not len(rows):
        return line
    ink_height, middle = rows[-1] - rows[0] + 1, (rows[0] + rows[-1] + 1) / 2
    scale = min(1.0, height / (ink_height * cosine + width * abs(sine)))
    new_width = max(1, math.ceil((width * cosine + ink_height * abs(sine)) * scale))
    # Source coordinates of each pixel of the result: relative to the centre, scaled, rotated.
    a, b = cosine / scale, -sine / scale
    c, d = sine / scale, cosine / scale
    x0, y0 = new_width / 2, height / 2
    matrix = (a, b, width / 2 - a * x0 - b * y0, c, d, middle - c * x0 - d * y0)
    picture = Image.frombuffer("L", (width, height), line.tobytes(), "raw", "L", 0, 1)
    bigger = picture.transform((new_width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.frombuffer(bigger.tobytes(), np.uint8).reshape(height, new_width)


def with_noise(line: Grey, kind: Noise, random: np.random.Generator) -> Grey:
    """A line with one kind of noise of random strength."""
    if kind in ("salt", "pepper"):
        noisy = line.copy().reshape(-1)
        places = random.integers(noisy.size, size=int(noisy.size * _SPECKS))
        noisy[places] = 0 if kind == "salt" else 255  # white paper in the ink, black specks on the paper
        return noisy.reshape(line.shape)
    begin, bank = int(random.integers(_BANK_SIZE)), _normal_bank()
    run = bank[begin : begin + line.size] if line.size <= _LONGEST_RUN else np.resize(bank, line.size)
    normal = run.reshape(line.shape)
    if kind == "gaussian":
        deviation = np.float32(random.uniform(*_GAUSSIAN_DEVIATION))
        return _clipped(line + normal * deviation)
    # Grains of ink: Poisson noise, approximated by a normal distribution whose variance is its mean.
    grain = np.float32(255 / random.uniform(*_POISSON_QUANTA))
    return _clipped(line + normal * np.sqrt(line * grain))


def _clipped(levels: NDArray[np.float32]) -> Grey:
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)


@lru_cache(maxsize=1)
def _normal_bank() -> NDArray[np.float32]:
    """Standard normal numbers, drawn once: drawing them for every line takes longer than the rest."""
    return np.random.default_rng(20_181_101).standard_normal(_BANK_SIZE + _LONGEST_RUN, dtype=np.float32)
