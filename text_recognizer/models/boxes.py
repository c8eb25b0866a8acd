"""Boxes of the lines of a page: found in pixel classes, compared with the right ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.int32] | NDArray[np.float32]
SMALLEST_HEIGHT_PX, SMALLEST_WIDTH_PX = 3, 6  # of a line in the detector's image: what is smaller is a speck
SAME_LINE_OVERLAP = 0.5  # of the heights of two parts, above which they are parts of one line
SAME_BOX_IOU = 0.5


def line_boxes(classes: NDArray[np.integer[Any]]) -> Boxes:
    """The boxes (lines, 4) of the lines on one page (H, W) of pixel classes, from top to bottom; none of a blank page.

    Parts of one class that lie beside each other are one line: between two lines of one class is one of the other.
    """
    from scipy import ndimage

    found: list[tuple[int, ...]] = []
    for kind in (1, 2):
        parts, _ = ndimage.label(ndimage.binary_dilation(classes == kind, np.ones((1, 3))), np.ones((3, 3)))
        boxes: list[tuple[int, ...]] = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(parts)
            if rows.stop - rows.start >= SMALLEST_HEIGHT_PX
        ]
        found += _joined(boxes)
    lines = [box for box in found if box[2] - box[0] >= SMALLEST_WIDTH_PX]
    lines.sort(key=lambda box: (box[1] + box[3], box[0]))
    return np.array(lines, np.int32).reshape(-1, 4)


def _joined(boxes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Boxes that share most of their rows as one."""
    joined: list[tuple[int, ...]] = []
    for box in sorted(boxes, key=lambda box: box[3] - box[1], reverse=True):
        for index, line in enumerate(joined):
            shared = min(box[3], line[3]) - max(box[1], line[1])
            if shared > SAME_LINE_OVERLAP * (box[3] - box[1]):
                joined[index] = (*map(min, box[:2], line[:2]), *map(max, box[2:], line[2:]))
                break
        else:
            joined.append(box)
    return joined


def matched_boxes(found: Boxes, right: Boxes) -> int:
    """How many found boxes are right ones; each right box is found once, the best pairs first."""
    if not len(found) or not len(right):
        return 0
    overlap = box_overlaps(found, right)
    matched = 0
    while overlap.max() >= SAME_BOX_IOU:
        row, column = np.unravel_index(int(np.argmax(overlap)), overlap.shape)
        overlap[row, :] = overlap[:, column] = -1
        matched += 1
    return matched


def box_overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4)."""
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - shared
    return shared / np.maximum(union, 1e-9)  # type: ignore[no-any-return]
