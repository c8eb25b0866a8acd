"""Remarks on properties of a split that make its lines unnecessarily hard to read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.lines.args import LineArgs
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.images.line_form import written_rows
from text_recognizer.wording import counted

LOOKED_AT = 64  # lines per split
LEAST_WRITTEN = 0.5  # share of the height of a typical line; in the measured datasets, writing fills 65 to 88 %


def remarks(lines: LineSplit, name: SplitName, args: LineArgs) -> Iterator[str]:
    """One sentence per remark. `args` are those of the dataset."""
    are_smaller: NDArray[np.bool_] = lines.widths == (args.width or args.max_width or -1)
    count = int(np.count_nonzero(are_smaller))
    if count and args.width is None:
        are = "is" if count == 1 else "are"
        yield (
            f"{counted(count, 'line')} of {len(lines):,} of the {name} split {are} made smaller to {args.max_width:,} "
            f"pixels of width, and so is the writing. With dataset_args.max_width=null, lines keep their size"
        )
    share = usual_written_share(lines, np.flatnonzero(~are_smaller))
    if share < LEAST_WRITTEN:
        yield (
            f"the writing takes {100 * share:.0f} % of the height of a usual line of the {name} split, so its letters "
            f"are small. Cut the lines closer to it, or train at a larger dataset_args.height"
        )


def usual_written_share(lines: LineSplit, positions: NDArray[np.integer[Any]]) -> float:
    """The share of the height of a typical line that its writing fills; 1 without any line."""
    looked_at = positions[evenly_chosen(len(positions), LOOKED_AT)].tolist()
    rows = [written_rows(lines.image(position)[..., 0]) for position in looked_at]
    return float(np.median([end - first for first, end in rows])) / lines.data_spec.input_shape[0] if rows else 1.0
