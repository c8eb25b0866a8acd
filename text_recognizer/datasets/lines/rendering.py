"""Lines drawn with fonts: put together from kept glyphs, turned a little, with noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import describe
from text_recognizer.datasets.base import Ink
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.fonts import Font, font
from text_recognizer.images.line_form import Grey, UnfitImageError

Noise = Literal["gaussian", "poisson", "salt", "pepper"]

_BANK_SIZE = 1 << 20
_LONGEST_RUN = 1 << 18
_SPECKS = 0.02  # share of the pixels that salt or pepper hits
_GAUSSIAN_DEVIATION = (8, 32)  # grey levels
_POISSON_QUANTA = (8, 32)  # grains of ink that make a pixel full


@dataclass(frozen=True)
class Rendering:
    """How lines are drawn.

    Args:
        height: of the pictures, in pixels.
        font_size: of the em square in a picture that is not turned; the font's line then fits the height or is cut.
            None makes it as large as fits.
        rotation_deg: a line is turned by an angle drawn evenly from -rotation_deg to rotation_deg, then made smaller
            until it fits the height again.
        noise: kinds to draw from, for pictures that get noise.
    """

    height: int
    font_size: int | None = None
    rotation_deg: float = 2.0
    noise: tuple[Noise, ...] = ()
    ink: Ink = "light"

    def draw(self, text: str, font_path: str, is_noisy: bool, random: np.random.Generator) -> Grey:
        """A line (height, W)."""
        line = _clean_line(text, font_path, self.face(font_path).size, self.height)
        if self.rotation_deg:
            line = turned(line, random.uniform(-self.rotation_deg, self.rotation_deg))
        if is_noisy and self.noise:
            line = with_noise(line, self.noise[int(random.integers(len(self.noise)))], random)
        return line if self.ink == "light" else np.invert(line)

    def face(self, font_path: str) -> Font:
        """The font at the size of these lines."""
        return font(font_path, self.font_size or fitting_size(font_path, self.height))


@dataclass(frozen=True)
class RenderedSample(LineSample):
    """A picture to be drawn.

    Args:
        font_path: of the font; empty when no font can draw the text.
    """

    font_path: str = ""
    is_noisy: bool = False


@dataclass(frozen=True)
class RenderedChunk(LineSource):
    """Some lines to be drawn; all from one seed, in order, so that it does not matter in which process."""

    samples: Sequence[RenderedSample]
    rendering: Rendering
    seed: tuple[int, ...]

    is_finished: ClassVar[bool] = True

    def read(self, position: int) -> Grey:
        picture = self._pictures[position]
        if isinstance(picture, str):
            raise UnfitImageError(picture)
        return picture

    @cached_property
    def _pictures(self) -> list[Grey | str]:
        """The pictures, or why there is none."""
        random = np.random.default_rng(self.seed)
        return [one.problem or (self._picture(one, random) if one.is_wanted else "") for one in self.samples]

    def _picture(self, one: RenderedSample, random: np.random.Generator) -> Grey | str:
        if empty := _empty_glyphs(one.text, self.rendering.face(one.font_path)):
            return f"its font draws nothing for some characters: {', '.join(map(describe, empty))}"
        return self.rendering.draw(one.text, one.font_path, one.is_noisy, random)


@lru_cache(maxsize=16)  # the repetitions of a text follow one another
def _empty_glyphs(text: str, face: Font) -> list[str]:
    return face.draws_nothing_for(text)


@lru_cache(maxsize=16)
def _clean_line(text: str, font_path: str, size: int, height: int) -> Grey:
    line = centred(font(font_path, size).draw(text), height)
    line.flags.writeable = False
    return line


@lru_cache(maxsize=64)
def fitting_size(font_path: str, height: int) -> int:
    """The largest size at which the font's line is at most as high as a picture."""
    size = max(4, height)
    while size > 4 and Font(font_path, size).height > height:
        size -= 1
    return size


def centred(line: Grey, height: int) -> Grey:
    """A line in a picture of another height: rows are added or cut above and below."""
    missing = height - line.shape[0]
    if missing < 0:
        above = -missing // 2
        return line[above : above + height]
    return np.pad(line, ((missing // 2, missing - missing // 2), (0, 0)))


def turned(line: Grey, degrees: float) -> Grey:
    """A line turned counter-clockwise about its middle, made smaller until its ink fits its height; nothing is cut."""
    from PIL import Image

    height, width = line.shape
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    rows = np.flatnonzero(line.any(axis=1))
    if not len(rows):
        return line
    ink_height, middle = rows[-1] - rows[0] + 1, (rows[0] + rows[-1] + 1) / 2
    scale = min(1.0, height / (ink_height * cosine + width * abs(sine)))
    new_width = max(1, math.ceil((width * cosine + ink_height * abs(sine)) * scale))
    # Of each pixel of the result, where it comes from: back to the middle, scaled, turned.
    a, b = cosine / scale, -sine / scale
    c, d = sine / scale, cosine / scale
    x0, y0 = new_width / 2, height / 2
    matrix = (a, b, width / 2 - a * x0 - b * y0, c, d, middle - c * x0 - d * y0)
    picture = Image.frombuffer("L", (width, height), line.tobytes(), "raw", "L", 0, 1)
    bigger = picture.transform((new_width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.frombuffer(bigger.tobytes(), np.uint8).reshape(height, new_width)


def with_noise(line: Grey, kind: Noise, random: np.random.Generator) -> Grey:
    """A line with one kind of noise, of a strength drawn at random."""
    if kind in ("salt", "pepper"):
        noisy = line.copy().reshape(-1)
        places = random.integers(noisy.size, size=int(noisy.size * _SPECKS))
        noisy[places] = 0 if kind == "salt" else 255  # white paper in the ink, black specks on the paper
        return noisy.reshape(line.shape)
    normal = _normal(line.size, random).reshape(line.shape)
    if kind == "gaussian":
        deviation = np.float32(random.uniform(*_GAUSSIAN_DEVIATION))
        return _clipped(line + normal * deviation)
    # Grains of ink: as many as the level asks for on average, their number normal with its mean as variance.
    grain = np.float32(255 / random.uniform(*_POISSON_QUANTA))
    return _clipped(line + normal * np.sqrt(line * grain))


def _clipped(levels: NDArray[np.float32]) -> Grey:
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)


def _normal(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Standard normal numbers: a run of the bank from a random place."""
    begin = int(random.integers(_BANK_SIZE))
    return _normal_bank()[begin : begin + count] if count <= _LONGEST_RUN else np.resize(_normal_bank(), count)


@lru_cache(maxsize=1)
def _normal_bank() -> NDArray[np.float32]:
    """Drawn once: drawing them anew for every line takes longer than the rest."""
    return np.random.default_rng(20_181_101).standard_normal(_BANK_SIZE + _LONGEST_RUN, dtype=np.float32)
