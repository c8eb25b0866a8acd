"""Pages of typeset text, for detectors of lines."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TEXT = "soussigne declare leguer femme toute possede faite ecrit entier main propre testament mois"
Placed = tuple[float, float, str]  # left and baseline of a text


def text_of(words: int, first: int = 0) -> str:
    given = TEXT.split()
    return " ".join(given[(first + 7 * index) % len(given)] for index in range(words))


def paragraph(lines: int, left: float = 80, top: float = 100, words: int = 6, pitch: float = 44) -> list[Placed]:
    return [(left, top + pitch * index, text_of(words, index)) for index in range(lines)]


def drawn_page(
    texts: Sequence[Placed], size: tuple[int, int] = (900, 1200), angle: float = 0.0, font_px: int = 30
) -> NDArray[np.uint8]:
    """Dark text on light paper, (H, W).

    Args:
        size: width and height.
        angle: degrees by which the page is turned to the left.
    """
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("L", size, 235)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(font_px)
    for left, baseline, text in texts:
        draw.text((left, baseline), text, 30, font, anchor="ls")
    return np.asarray(page.rotate(angle, Image.Resampling.BICUBIC, fillcolor=235))
