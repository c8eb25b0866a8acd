"""FoundLine: where one line of text is on a page."""

from dataclasses import dataclass

from text_recognizer.images.straighten import Points


@dataclass(frozen=True)
class FoundLine:
    """A line, in pixels of the page.

    Args:
        box: left, top, right, bottom around its ink, ends excluded.
        baseline: on which its letters stand, in the direction of its characters from left to right; empty where
            it is not known.
        polygon: around its ink with a small margin; empty where only the box is known.
    """

    box: tuple[int, int, int, int]
    baseline: Points = ()
    polygon: Points = ()
