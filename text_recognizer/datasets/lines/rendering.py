"""Lines drawn with fonts: put together from kept glyphs, turned a little, with noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np

from text_recognizer.charset import describe
from text_recognizer.datasets.base import Ink
from text_recognizer.datasets.drawing.changes import Noise, centred, turned, with_noise
from text_recognizer.datasets.drawing.fonts import Font, font
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.images.line_form import Grey, UnfitImageError


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
    """A picture to be drawn; font_path is empty when no font can draw the text."""

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
        if empty := self.rendering.face(one.font_path).draws_nothing_for(one.text):
            return f"its font draws nothing for some characters: {', '.join(map(describe, empty))}"
        return self.rendering.draw(one.text, one.font_path, one.is_noisy, random)


@lru_cache(maxsize=16)  # the repetitions of a text follow one another
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
