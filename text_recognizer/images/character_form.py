"""The form of character images for a recogniser: square, dark on white, ink at full strength."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.images.line_steps import Grey

if TYPE_CHECKING:
    from PIL import Image

PAPER = 255
INK_THRESHOLD = 0.3  # of the strongest ink; fainter ink is ignored when a character is located
FAINTEST_INK = 8  # grey levels between paper and the darkest stroke; below, an image is blank


@dataclass(frozen=True)
class CharacterForm:
    """How an image of one character, dark on white, is converted: cropped to its strokes and scaled.

    Args:
        side: side of the result in pixels.
        margin_px: paper on every side of the strokes.
        stretch: scale height and width independently, so that every character fills the square; otherwise it keeps its
            aspect ratio and is centred.
        enlarge: also enlarge images that are smaller than the square. If all images were scanned at one resolution,
            keeping their size distinguishes a dot from a circle.
    """

    side: int
    margin_px: int = 2
    stretch: bool = False
    enlarge: bool = True

    def apply_all(self, pictures: Iterable[Grey]) -> list[Grey | UnfitImageError]:
        """(side, side) for each image (H, W), by area averaging; an error for a blank one.

        Several at once take two thirds of the time, as each step's code stays in the processor's cache.
        """
        from PIL import Image

        cut = [_cut(picture) for picture in pictures]
        usable = [one for one in cut if not isinstance(one, UnfitImageError)]
        shape, how = (self.side, self.side), (self.margin_px, self.stretch, self.enlarge)
        sizes = [fitted_size(box.shape, shape, *how) for box, _ in usable]
        boxes = [Image.fromarray(box) for box, _ in usable]
        fitted = [resized(box, size) for box, size in zip(boxes, sizes, strict=True)]
        levels = [image.tobytes() for image in fitted]
        placed = np.full((len(usable), *shape), PAPER, np.uint8)
        for image, of_one, size, (_, darkest) in zip(placed, levels, sizes, usable, strict=True):
            at_full_strength = of_one.translate(_full_strength(darkest))
            image[centred(size, shape)] = np.frombuffer(at_full_strength, np.uint8).reshape(size)
        made = iter(placed)
        return [one if isinstance(one, UnfitImageError) else next(made) for one in cut]


def _cut(picture: Grey) -> tuple[Grey, int] | UnfitImageError:
    """The box of the strokes in an image, and its darkest level."""
    if 0 in picture.shape:
        return UnfitImageError(f"the image is {picture.shape[1]} x {picture.shape[0]} pixels large")
    rows, columns = picture.min(axis=1), picture.min(axis=0)  # the darkest of each
    darkest = int(rows.min())
    if PAPER - darkest < FAINTEST_INK:
        return UnfitImageError("the image is blank: nothing stands out from its background")
    # Cropped like images to be read (images.read.fit_to): files often have paper or specks around a character.
    faintest = PAPER - INK_THRESHOLD * (PAPER - darkest)
    return picture[span(rows < faintest), span(columns < faintest)], darkest


def fitted_size(
    box: tuple[int, ...], shape: tuple[int, ...], margin_px: int, stretch: bool, enlarge: bool
) -> tuple[int, int]:
    """Height and width to which a character's box is scaled, for an image of a shape.

    Args: see CharacterForm.
    """
    scale_y, scale_x = (shape[0] - 2 * margin_px) / box[0], (shape[1] - 2 * margin_px) / box[1]
    if not stretch:
        scale_y = scale_x = min(scale_y, scale_x)
    if not enlarge:
        scale_y, scale_x = min(scale_y, 1.0), min(scale_x, 1.0)
    return max(1, round(box[0] * scale_y)), max(1, round(box[1] * scale_x))


def resized(box: "Image.Image", size: tuple[int, int]) -> "Image.Image":
    """An image, of bytes or floats, scaled to a height and width."""
    from PIL.Image import Resampling

    height, width = size
    # Pillow's box filter averages areas when it shrinks, but does not interpolate when it enlarges.
    method = Resampling.BOX if height <= box.height and width <= box.width else Resampling.BILINEAR
    return box.resize((width, height), method)


def centred(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The slices that centre a box of a height and width in an image of a shape."""
    top, left = (shape[0] - size[0]) // 2, (shape[1] - size[1]) // 2
    return slice(top, top + size[0]), slice(left, left + size[1])


@lru_cache(maxsize=256)
def _full_strength(darkest: int) -> bytes:
    """A table of 256 grey levels, stretched so that `darkest` becomes black and paper stays white."""
    levels = PAPER - (PAPER - np.arange(256)) * (PAPER / (PAPER - darkest))
    return bytes(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))


def cut_to(marked: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns of the bounding box of the marked pixels in an image (H, W); at least one must be marked."""
    return span(np.any(marked, axis=1)), span(np.any(marked, axis=0))


def span(marked: NDArray[np.bool_]) -> slice:
    """From the first to the last marked position (n,); at least one must be marked."""
    as_bytes = marked.tobytes()
    return slice(as_bytes.find(1), as_bytes.rfind(1) + 1)


def as_dark_ink(picture: Grey, source_ink: Literal["dark", "light", "auto"] = "auto") -> Grey:
    """A grey image (H, W) dark on white, cropped to its strokes; "auto" takes what differs most from the border."""
    if 0 in picture.shape:
        return picture
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    background = float(np.median(border))
    if source_ink == "light" or (
        source_ink == "auto" and float(picture.max()) - background > background - picture.min()
    ):
        picture = np.invert(picture)
        background = PAPER - background
    # Off-white paper becomes white, so only ink remains. By a table of grey levels, as an image may be huge.
    ink = np.clip(background - np.arange(256, dtype=np.float32), 0, None) * (PAPER / max(background, 1.0))
    strongest = ink[picture.min()]
    if not strongest:
        return np.full_like(picture, PAPER)
    cut = picture[cut_to((ink > INK_THRESHOLD * strongest)[picture])]
    return np.asarray(PAPER - np.rint(np.minimum(ink, PAPER)), np.uint8)[cut]
