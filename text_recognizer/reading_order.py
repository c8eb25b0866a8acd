"""Right-to-left scripts: converts texts between logical order and the visual order on the line.

A text is stored in logical order, as it is typed and read. A network sees a line from left to right, and CTC cannot
reorder: the labels of Hebrew or Arabic are in visual order, from the left end of the line.
"""

import re
import unicodedata
from itertools import accumulate, groupby, pairwise

from text_recognizer.charset import graphemes

# The blocks of right-to-left scripts: most texts have no such characters and need no further processing.
_RIGHT_TO_LEFT_BLOCKS = re.compile(
    "[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_LEVELS = re.compile(r"^    levels: \[(.*?)^    \],", re.DOTALL | re.MULTILINE)
_LEVEL = re.compile(r"\d+")


def has_right_to_left(text: str) -> bool:
    """Whether a text contains right-to-left characters."""
    if text.isascii() or not _RIGHT_TO_LEFT_BLOCKS.search(text):
        return False
    return any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text)


def runs_right_to_left(text: str) -> bool:
    """Whether a line as a whole runs from right to left: at least as many such letters as others.

    Unicode decides by the first letter, which is unknown for a line that is only seen; so the letters are counted.
    """
    kinds = [unicodedata.bidirectional(character) for character in text]
    return kinds.count("R") + kinds.count("AL") >= kinds.count("L")


def visual_order(text: str) -> str:
    """The characters of a line of text from left to right, as they appear.

    Marks stay after the character that they combine with. Brackets and other mirrored signs become the sign that is
    seen. Texts without right-to-left characters are returned unchanged.

    Source: Unicode Standard Annex 9, "Unicode bidirectional algorithm".
    """
    if not has_right_to_left(text):
        return text
    units = graphemes(text)
    levels = _levels(units, runs_right_to_left(text))
    return "".join(unit for _, unit in _reordered(units, levels, range(max(levels), 0, -1)))


def logical_order(text: str) -> str:
    """The text of a line from its characters from left to right: the inverse of `visual_order`.

    Some lines are ambiguous, such as a number between a Latin and a Hebrew word; it is then assigned to the Latin word.
    """
    if not has_right_to_left(text):
        return text
    return "".join(unit for _, unit in logical_units(text))


def logical_units(text: str) -> list[tuple[int, str]]:
    """The characters of `logical_order`, with their marks, and where in the line each begins."""
    units = graphemes(text)
    is_right_to_left = runs_right_to_left(text)
    places = _roughly_logical(units, is_right_to_left)
    # A level depends on neighbours in logical order; an approximate order is enough to find them.
    levels = [0] * len(units)
    for place, level in zip(places, _levels([units[place] for place in places], is_right_to_left), strict=True):
        levels[place] = level
    starts = [0, *accumulate(map(len, units))]
    return [(starts[place], unit) for place, unit in _reordered(units, levels, range(1, max(levels) + 1))]


def _reordered(units: list[str], levels: list[int], order: range) -> list[tuple[int, str]]:
    """Places and characters with the runs of each level reversed, one level after another."""
    places = list(range(len(units)))
    for level in order:
        places = _reversed_runs(places, [one >= level for one in levels])
    return [(place, _as_seen(units[place], levels[place])) for place in places]


def _roughly_logical(units: list[str], is_right_to_left: bool) -> list[int]:
    """Positions of the visible characters, with right-to-left letters in logical order, those between them as seen."""
    kinds = [unicodedata.bidirectional(unit[0]) for unit in units]
    places = list(range(len(units)))
    if is_right_to_left:
        return _turned(places, kinds)
    found: list[int] = []
    for is_left_to_right, group in groupby(places, [kind == "L" for kind in kinds].__getitem__):
        run = list(group)
        inside = [] if is_left_to_right else [place for place in run if kinds[place] in ("R", "AL", "AN")]
        first, after = (inside[0], inside[-1] + 1) if inside else (run[-1] + 1, run[-1] + 1)
        found += [*range(run[0], first), *_turned(list(range(first, after)), kinds), *range(after, run[-1] + 1)]
    return found


def _turned(places: list[int], kinds: list[str]) -> list[int]:
    """Positions from right to left, except those between right-to-left letters."""
    return _reversed_runs(places[::-1], [kind not in ("R", "AL") for kind in kinds])


def _reversed_runs(places: list[int], is_in_run: list[bool]) -> list[int]:
    """The positions, with each unbroken run of marked ones reversed."""
    found: list[int] = []
    for is_run, group in groupby(places, is_in_run.__getitem__):
        run = list(group)
        found += run[::-1] if is_run else run
    return found


def _levels(units: list[str], is_right_to_left: bool) -> list[int]:
    """The embedding level of each character: odd ones run from right to left."""
    from bidi import get_display

    described = str(get_display("".join(units), base_dir="R" if is_right_to_left else "L", debug=True))
    found = _LEVELS.search(described)
    levels = [int(level) for level in _LEVEL.findall(found[1])] if found else []
    ends = [0]
    for unit in units:
        ends.append(ends[-1] + len(unit.encode("utf-8")))
    assert len(levels) == ends[-1], "python-bidi describes the levels of a text in another form than it did"
    return [levels[start] for start, _ in pairwise(ends)]


def _as_seen(unit: str, level: int) -> str:
    from bidi.mirror import MIRRORED

    return MIRRORED.get(unit[0], unit[0]) + unit[1:] if level % 2 else unit
