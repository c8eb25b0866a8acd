"""What can be seen in the data of lines before training starts: why a model may not learn them."""

import numpy as np

from text_recognizer.charset import describe
from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.reading_order import visual_order
from text_recognizer.wording import counted

LINES_LOOKED_AT = 64


def line_warnings(data_spec: DataSpec, train: LineSplit, validation: LineSplit) -> list[str]:
    """Inverted ink, and characters that the charset does not have; in sentences."""
    found = (_inverted(data_spec, train), _unwritable(data_spec, train, validation))
    return [warning for warning in found if warning is not None]


def _inverted(data_spec: DataSpec, train: LineSplit) -> str | None:
    """Whether most of the area of most lines is as bright as ink should be."""
    looked_at = np.linspace(0, len(train) - 1, min(len(train), LINES_LOOKED_AT)).astype(int)
    light = np.mean([np.median(train.image(position)) > 127 for position in looked_at])
    ink = data_spec.ink
    if (light if ink == "light" else 1 - light) < 0.5:
        return None
    return f"the ink is said to be {ink}, but most of each line is {ink}: is it inverted? See dataset_args.source_ink"


def _unwritable(data_spec: DataSpec, train: LineSplit, validation: LineSplit) -> str | None:
    """Characters that are in texts but not in the charset."""
    texts = [visual_order(text) for text in (*train.texts, *validation.texts)]  # as labels are: brackets turn
    known = set("".join(data_spec.classes))
    missing = sorted(set().union(*texts) - known) if texts else []
    if not missing:
        return None
    shown = ", ".join(map(describe, missing[:5])) + (", …" if len(missing) > 5 else "")
    lines = sum(not known.issuperset(text) for text in texts)
    return (
        f"{counted(len(missing), 'character')} of the texts are not in the charset and can never be read: {shown} "
        f"(in {counted(lines, 'line')} of {len(texts):,})"
    )
