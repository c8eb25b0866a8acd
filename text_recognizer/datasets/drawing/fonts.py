"""Fonts: their characters, and texts rendered with them in light ink on black."""

import io
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.font_cmap import characters_of_font
from text_recognizer.errors import DataError, reason
from text_recognizer.reading_order import has_right_to_left, runs_right_to_left

Grey = NDArray[np.uint8]

DEFAULT_FONT = "default"
MOST_EMS = 16  # maximum height of a line or width of a character; real fonts have at most 10
# Indic, South-East Asian, Mongolian: the form or position of characters depends on their neighbours.
_SHAPED = re.compile("[\u0900-\u0fff\u1000-\u109f\u1780-\u18af\u1900-\u1aaf\u1b00-\u1c4f\ua800-\uabff\u200d]")


@dataclass(frozen=True)
class _Glyph:
    """A drawn glyph.

    Args:
        picture: (line height, W), at its position below the top of the line.
        left: offset to the right of the pen.
        advance: how far it moves the pen.
    """

    text: str
    picture: Grey
    left: int
    advance: float
    kerns: bool
    has_ink: bool


class Font:
    """A font at one size, with cached glyphs. Raises DataError: there is no file, or it is not a font.

    Args:
        path: path of a TrueType, OpenType or WOFF file; DEFAULT_FONT is the one that comes with Pillow.
        size: size of the em square in pixels.
    """

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self._margin = max(2, size // 8)
        self._glyphs: dict[str, _Glyph] = {}
        self._kerning: dict[tuple[str, str], float] = {}

    @cached_property
    def ascent(self) -> int:
        """Pixels from the top of the line to the baseline."""
        return int(self._font.getmetrics()[0])

    @cached_property
    def height(self) -> int:
        ascent, descent = self._font.getmetrics()
        if not 0 < ascent + descent <= MOST_EMS * self.size:
            raise DataError(f"the font {self.path} makes lines {(ascent + descent) / self.size:g} times its size high.")
        return int(ascent + descent)

    @lru_cache(maxsize=16)  # noqa: B019 - fonts are cached anyway, and repetitions of a text are consecutive
    def draws_nothing_for(self, text: str) -> list[str]:
        """The characters of a text, except blanks, whose glyphs in the font are empty."""
        if any(map(needs_shaping, text)):
            return []
        return [one for one in dict.fromkeys(text) if not one.isspace() and not self._glyph(one).has_ink]

    def draw(self, text: str) -> Grey:
        """A text in logical order as strokes 255 on 0 (height, W). Raises DataError: Pillow cannot shape its script."""
        if any(map(needs_shaping, text)):
            return self._drawn_whole(text)
        glyphs = [self._glyph(character) for character in text]
        pen, starts = float(self._margin), []
        for previous, glyph in zip([None, *glyphs], glyphs, strict=False):
            if previous is not None and previous.kerns and glyph.kerns:
                pair = (previous.text, glyph.text)
                if pair not in self._kerning:  # kerning, negative if they are closer than their widths
                    both = float(self._font.getlength("".join(pair)))
                    self._kerning[pair] = both - previous.advance - glyph.advance
                pen += self._kerning[pair]
            starts.append(max(0, round(pen) + glyph.left))
            pen += glyph.advance
        ends = [start + glyph.picture.shape[1] for start, glyph in zip(starts, glyphs, strict=True)]
        canvas = np.zeros((self.height, max([round(pen), *ends]) + self._margin), np.uint8)
        for start, end, glyph in zip(starts, ends, glyphs, strict=True):
            place = canvas[:, start:end]
            np.maximum(place, glyph.picture, out=place)
        return canvas

    def _drawn_whole(self, text: str) -> Grey:
        from PIL import features

        if not features.check("raqm"):
            raise DataError(
                f"'{text}' is of a script whose letters depend on their neighbours; this Pillow lacks libraqm, "
                f"which shapes it. Install a Pillow with libraqm."
            )
        # Raqm decides the direction by the first letter; labels go by the majority of letters.
        direction = ("rtl" if runs_right_to_left(text) else "ltr") if has_right_to_left(text) else None
        whole = self._made(text, direction)
        margin = self._margin + max(0, -whole.left)
        return np.pad(whole.picture, ((0, 0), (margin + whole.left, self._margin)))

    def _glyph(self, character: str) -> _Glyph:
        if (glyph := self._glyphs.get(character)) is None:
            glyph = self._made(character)
            if glyph.picture.size <= 16 * self.size**2:  # larger glyphs would fill the memory
                self._glyphs[character] = glyph
        return glyph

    def _made(self, text: str, direction: str | None = None) -> _Glyph:
        try:
            left, top, right, bottom = self._font.getbbox(text, mode="L", anchor="la", direction=direction)
            if max((right - left) / len(text), bottom - top) > MOST_EMS * self.size:
                raise DataError(
                    f"the font {self.path} draws '{text}' {right - left:,} x {bottom - top:,} pixels large at size "
                    f"{self.size}, more than {MOST_EMS} times as large as that. Use another font."
                )
            mask, (left, top) = self._font.getmask2(text, mode="L", anchor="la", direction=direction)
            advance = float(self._font.getlength(text, direction=direction))
        except (OSError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
            raise DataError(f"the font {self.path} is damaged, it cannot draw {text!r}: {reason(error)}.") from None
        width, height = mask.size
        drawn = np.array(mask, np.uint8).reshape(height, width)
        picture = np.zeros((self.height, width), np.uint8)
        above = max(0, int(top))
        shown = drawn[above - int(top) : max(0, self.height - int(top))]  # parts beyond the line are cut off
        picture[above : above + len(shown)] = shown
        # Ideographs do not kern, and there are too many pairs of them to cache.
        kerns = len(text) == 1 and (text.isascii() or text.islower() or text.isupper())
        return _Glyph(text, picture, int(left), advance, kerns, bool(picture.any()))

    @cached_property
    def _font(self) -> Any:
        from PIL import ImageFont

        source = io.BytesIO(_default_content()) if self.path == DEFAULT_FONT else self.path
        try:
            return ImageFont.truetype(source, self.size)
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise DataError(f"cannot read the font {self.path}: {reason(error)}.") from None


@lru_cache(maxsize=64)
def font(path: str, size: int) -> Font:
    """The font of a path and size, cached per process."""
    return Font(path, size)


@lru_cache(maxsize=64)
def characters_of(path: str) -> frozenset[int]:
    """The code points for which a font has glyphs. Raises DataError: there is no such file, or it is not a font."""
    if path == DEFAULT_FONT:
        return characters_of_font(_default_content(), "the font of Pillow")
    return characters_of_font(Path(path))


@lru_cache(maxsize=10_000)
def needs_shaping(character: str) -> bool:
    """Whether a character's form or position depends on its neighbours."""
    return (
        unicodedata.bidirectional(character) in ("R", "AL", "AN")
        or unicodedata.category(character).startswith("M")
        or _SHAPED.match(character) is not None
    )


@lru_cache(maxsize=1)
def _default_content() -> bytes:
    from PIL import ImageFont

    path: Any = ImageFont.load_default(10).path  # type: ignore[union-attr]
    return bytes(path.getvalue())
