"""Notes in smaller writing than the text of a page, whose lines are too close to stand out at its size."""

from text_recognizer.layout.ink import Mask, line_height
from text_recognizer.layout.ridges import find_ridges
from text_recognizer.layout.shapes import OF_A_NOTE, LineShape, line_shapes

_MARGIN = (0.5, 0.3)  # heights of a line of the text, beside and above it, in which strokes are its own
_LEAST_OVERLAP = 0.5  # of the longer of two lines
_DISTANCES = (0.5, 1.4)  # heights of a note's line from one to the next
_FEWEST_NEIGHBOURS = 2  # of one of a note's lines: less are rests of loops and stamps


def lines_of_notes(text: list[LineShape], strokes: Mask, stroke_width: float, height: float) -> list[LineShape]:
    """Lines of at least three, one below the other, that are found in the strokes which the text's lines leave.

    Args:
        text: the lines that were found; where there are none, there are no notes.
        height: of one of them.
    """
    rest = strokes.copy()
    beside, above = (part * height for part in _MARGIN)
    for line in text:
        left, top, right, bottom = line.box
        rows = slice(max(0, int(top - above)), int(bottom + above))
        rest[rows, max(0, int(left - beside)) : int(right + beside)] = False
    if not text or rest.sum() < height**2:
        return []
    lower = line_height(rest, stroke_width)
    if lower > height:
        return []
    lines = line_shapes(rest, find_ridges(rest, lower), lower, OF_A_NOTE)
    inner = [line for line in lines if sum(_are_next(line, one, lower) for one in lines) >= _FEWEST_NEIGHBOURS]
    return [line for line in lines if any(line is one or _are_next(line, one, lower) for one in inner)]


def _are_next(one: LineShape, other: LineShape, height: float) -> bool:
    (left, top, right, bottom), (left2, top2, right2, bottom2) = one.box, other.box
    overlap = min(right, right2) - max(left, left2)
    distance = abs(top + bottom - top2 - bottom2) / 2
    is_beside = overlap > _LEAST_OVERLAP * max(right - left, right2 - left2)
    return is_beside and _DISTANCES[0] * height < distance < _DISTANCES[1] * height
