"""The reading order of the lines of a page: columns, and rows within them."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

_SAME_ROW = 0.5  # vertical overlap of two parts of a row, as a share of the smaller height
_TOUCHING = 0.1  # overlap allowed between columns, as a share of a line's width
_FEWEST_LINES = 3  # in a column: fewer are rows with a gap


class HasBox(Protocol):
    """An object with a box on a page: left, top, right, bottom."""

    @property
    def box(self) -> tuple[float, float, float, float]: ...


Line = TypeVar("Line", bound=HasBox)


def in_reading_order(lines: Sequence[Line], right_to_left: bool = False) -> list[Line]:
    """Lines from top to bottom, and column by column where there are columns.

    A line across several columns, such as a heading, is read before what is below it.
    """
    rest = sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box[0]))
    found: list[Line] = []
    while rest:
        columns = _columns(rest)
        group = [in_reading_order(column, right_to_left) for column in columns] or [[line] for line in _first_row(rest)]
        group.sort(key=lambda column: min(line.box[0] for line in column), reverse=right_to_left)
        taken = [line for column in group for line in column]
        found += taken
        rest = [line for line in rest if not any(line is one for one in taken)]
    return found


def _columns(lines: Sequence[Line]) -> list[list[Line]]:
    """The first lines, as far as they are in two or more columns; none if they are not."""
    spans: list[tuple[float, float, list[Line]]] = []
    best: list[list[Line]] = []
    for line in lines:
        margin = _TOUCHING * (line.box[2] - line.box[0])
        left, right, members = line.box[0] + margin, line.box[2] - margin, [line]
        crossed = [span for span in spans if span[0] < right and left < span[1]]
        if sum(len(span[2]) >= _FEWEST_LINES for span in crossed) > 1:
            break
        for span in crossed:
            spans.remove(span)
            left, right, members = min(left, span[0]), max(right, span[1]), [*span[2], *members]
        spans.append((left, right, members))
        if len(spans) == 1 and len(members) > 1:
            break
        if len(spans) > 1 and all(len(span[2]) >= _FEWEST_LINES for span in spans):
            best = [span[2] for span in spans]
    return best


def _first_row(lines: Sequence[Line]) -> list[Line]:
    """The first line and those beside it."""
    top, bottom = lines[0].box[1], lines[0].box[3]
    return [
        line
        for line in lines
        if min(bottom, line.box[3]) - max(top, line.box[1]) > _SAME_ROW * min(bottom - top, line.box[3] - line.box[1])
        and (line is lines[0] or line.box[0] >= lines[0].box[2] or line.box[2] <= lines[0].box[0])
    ]
