"""Cuts lines out of page images."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from text_recognizer.datasets.formats.page_xml import Points
from text_recognizer.datasets.line_source import LineSource
from text_recognizer.images.grey import has_quarter_turn, read_grey
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.images.line_steps import Grey
from text_recognizer.images.straighten import are_upside_down, bent_baseline, run_backwards, straightened
from text_recognizer.reading_order import has_right_to_left, runs_right_to_left

_MOST_DISTORTION = 0.02  # due to rounding; more means a different image
# Outlines may be of either: kraken ignores the tag, browsers and the editors in them follow it.
_OF_STORED_IMAGE = (
    ", the size without the quarter turn in the EXIF orientation of the image. If its outlines are of the image "
    "without that turn, remove the orientation from the image; otherwise, swap the two numbers in the file"
)


@dataclass(frozen=True)
class LinesOfPage(LineSource):
    """The lines of one page.

    Args:
        outlines: one per sample, in the page's units.
        width, height: size of the page in those units; 0 if they are the image's pixels.
        along_outline: whiten what is outside the polygon, or keep its whole box.
        baselines: one per sample, empty if the file has none; or none at all.
        steep_only: straighten only steep lines.
        alphabet: of lines without a text.
        frame: of a TIFF file of several.
    """

    is_page = True

    path: Path
    outlines: tuple[Points, ...]
    width: float = 0
    height: float = 0
    along_outline: bool = True
    baselines: tuple[Points, ...] = ()
    steep_only: bool = False
    alphabet: str = ""
    frame: int | None = None

    def read(self, position: int) -> Grey:
        scale = page_scale(self._image, self.width, self.height, self.path)
        baseline, outline = (in_pixels(one, scale) for one in (self.course(position), self.outlines[position]))
        return cut_out(self._image, outline, self.along_outline, baseline, self.steep_only, is_directed=True)

    def course(self, position: int) -> Points:
        """The baseline of a line from the end that is on the left when it is read; empty where the file has none."""
        baseline = self.baselines[position] if self.baselines else ()
        if len(baseline) < 2:
            return baseline
        across, down = np.subtract(baseline[-1], baseline[0])
        if abs(down) > abs(across):
            is_backwards = self._run_backwards and self._is_right_to_left(position)
        else:
            is_backwards = across < 0 and not self._is_upside_down
        return baseline[::-1] if is_backwards else baseline

    @cached_property
    def _is_upside_down(self) -> bool:
        left_to_right = [at for at, one in enumerate(self.samples) if not runs_right_to_left(one.text)]
        others = sum(map(self._is_right_to_left, range(len(self.samples))))
        return len(left_to_right) > others and are_upside_down(self._shapes(left_to_right))

    @cached_property
    def _run_backwards(self) -> bool:
        return run_backwards(self._shapes(filter(self._is_right_to_left, range(len(self.samples)))))

    def _is_right_to_left(self, position: int) -> bool:
        text = self.samples[position].text or self.alphabet
        return has_right_to_left(text) and runs_right_to_left(text)

    def _shapes(self, positions: Iterable[int]) -> list[tuple[Points, Points]]:
        return [(self.outlines[one], self.baselines[one]) for one in positions if self.baselines]

    @cached_property
    def _image(self) -> Grey:
        return read_grey(self.path, self.frame)


def box_outline(x1: float, y1: float, x2: float, y2: float) -> Points:
    """A box as a polygon, clockwise from its upper left corner."""
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


def page_scale(image: Grey, width: float, height: float, path: Path) -> float:
    """Pixels of an image per unit of its page.

    Args:
        width, height: size of the page; 0 if not given. One of the two is enough.
        path: of the image.
    Raises:
        UnfitImageError: one of the two is negative or not finite; the aspect ratios of page and image differ, so one
            was rotated or cropped.
    """
    if not (math.isfinite(width) and math.isfinite(height) and width >= 0 and height >= 0):
        size = f"{str(width)[:20]} x {str(height)[:20]}"
        raise UnfitImageError(f"its file gives the page an impossible size: {size}")
    rows, columns = image.shape
    if not width or not height:
        return float(columns / width if width else rows / height if height else 1.0)
    if not _fits(columns, rows, width, height):
        why = f"its image does not fit its page: {columns} x {rows} pixels, but the file says {width:g} x {height:g}"
        is_stored = _fits(rows, columns, width, height) and has_quarter_turn(path)
        raise UnfitImageError(why + (_OF_STORED_IMAGE if is_stored else ""))
    return float(columns / width)


def _fits(columns: int, rows: int, width: float, height: float) -> bool:
    return abs(columns * height / (rows * width) - 1) <= _MOST_DISTORTION


def in_pixels(outline: Points, scale: float) -> Points:
    """A polygon in pixels of its image. Raises UnfitImageError: one of its points is not finite."""
    if not all(math.isfinite(value) for corner in outline for value in corner):
        raise UnfitImageError("its outline has a coordinate that is not a finite number")
    return tuple((x * scale, y * scale) for x, y in outline)


def cut_out(
    image: Grey,
    outline: Points,
    along_outline: bool = True,
    baseline: Points = (),
    steep_only: bool = False,
    is_directed: bool = False,
) -> Grey:
    """The image of a line: the box around its polygon, or if it slopes or bends, straightened along its baseline.

    Pixels outside the polygon get the median level of those inside.

    Args:
        baseline: from the first character to the last, in pixels; empty if unknown.
        steep_only, is_directed: see `bent_baseline`.
    Raises:
        UnfitImageError: the polygon has no area or is outside the image.
    """
    outline = visible_part(outline, image, "polygon")
    points = np.array(outline)
    (left, top), (right, bottom) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    x1, y1 = max(0, int(left)), max(0, int(top))
    x2, y2 = min(image.shape[1], int(right)), min(image.shape[0], int(bottom))
    if x2 - x1 < 2 or y2 - y1 < 2:
        raise UnfitImageError("its polygon lies outside the image")
    box = image[y1:y2, x1:x2]
    bent = bent_baseline(outline, baseline, steep_only, is_directed)
    is_box = len(outline) == 4 and len({x for x, _ in outline}) == 2 and len({y for _, y in outline}) == 2
    if not bent and (is_box or not along_outline):
        return box
    from PIL import Image, ImageDraw

    mask = Image.new("1", (x2 - x1, y2 - y1))
    ImageDraw.Draw(mask).polygon(_moved(outline, x1, y1), fill=1, outline=1)
    inside = np.asarray(mask)  # (H, W) pixels of the box that are inside the polygon
    if not inside.any():
        raise UnfitImageError("its polygon lies outside the image")
    paper = np.uint8(np.median(box[inside]))
    shown = np.where(inside, box, paper) if along_outline else box
    straight = straightened(shown, _moved(outline, x1, y1), _moved(bent, x1, y1), int(paper)) if bent else None
    return shown if straight is None else straight


def _moved(points: Points, left: float, top: float) -> Points:
    return tuple((x - left, y - top) for x, y in points)


def visible_part(outline: Points, image: Grey, noun: str = "outline") -> Points:
    """The part of a polygon (pixels) inside an image. Raises UnfitImageError: it has no area."""
    if not has_area(outline):
        raise UnfitImageError(f"its {noun} has no area")
    inside = inside_image(outline, image)
    if not has_area(inside):
        raise UnfitImageError(f"its {noun} lies outside the image")
    return inside


def inside_image(outline: Points, image: Grey) -> Points:
    """The part of a polygon (pixels) inside an image; empty if there is none.

    Source: Sutherland and Hodgman (1974), "Reentrant polygon clipping".
    """
    rows, columns = image.shape
    for axis, limit, sign in ((0, 0.0, 1), (0, float(columns), -1), (1, 0.0, 1), (1, float(rows), -1)):
        depths = [sign * (corner[axis] - limit) for corner in outline]  # how far inside of this border
        if min(depths, default=0) >= 0:
            continue
        following = zip((*outline[1:], *outline[:1]), (*depths[1:], *depths[:1]), strict=True)
        kept: list[tuple[float, float]] = []
        for corner, depth, (next_corner, next_depth) in zip(outline, depths, following, strict=True):
            if depth >= 0:
                kept.append(corner)
            if (depth >= 0) != (next_depth >= 0):
                share, other = depth / (depth - next_depth), 1 - axis
                crossing = corner[other] + share * (next_corner[other] - corner[other])
                kept.append((limit, crossing) if axis == 0 else (crossing, limit))  # exactly on the border
        outline = tuple(kept)
    return outline


def has_area(outline: Points) -> bool:
    """Whether a polygon has an area of at least half a unit, by the shoelace formula."""
    following = (*outline[1:], *outline[:1])
    twice = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(outline, following, strict=True))
    return abs(twice) >= 1
