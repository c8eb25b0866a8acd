"""Why a training may not learn: what can be seen in the data before it starts, and in its first epochs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import describe
from text_recognizer.datasets.base import Split, SplitName
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.errors import SpecError
from text_recognizer.experiment import Experiment
from text_recognizer.models.base import Model
from text_recognizer.reading_order import visual_order
from text_recognizer.wording import counted

LINES_LOOKED_AT = 64
LOOKED_AT_IN_TRAINING: tuple[SplitName, ...] = ("train", "validation")
LEFT_OUT = "left_out.tsv"  # in a run folder
NAMED = 3
ALL_BLANK = 0.999
USUAL_BLANK_STEPS = 500  # readers trained by CTC say nothing but blanks for some hundred steps


def data_warnings(model: Model, train: Split, validation: Split, trainable: NDArray[np.bool_]) -> list[str]:
    """What is wrong with the data of lines, in sentences."""
    if not isinstance(train, LineSplit) or not isinstance(validation, LineSplit):
        return []
    found = [_impossible(train, trainable), _inverted(model, train), _unwritable(model, train, validation)]
    return [warning for warning in found if warning is not None]


def check_learnable(experiment: Experiment) -> None:
    """
    Raises:
        SpecError: no sample of the prepared dataset can be learnt from.
    """
    train = experiment.dataset.split("train")
    if experiment.model.trainable(train).any():
        return
    which = f" ({_names(train, np.arange(len(train)))})" if isinstance(train, LineSplit) else ""
    raise SpecError(
        f"no line of the training split can be learnt: each has more characters than network "
        f"'{experiment.spec.network}' has frames for its width{which}. Make dataset_args.height larger, or choose a "
        f"network with more frames a pixel."
    )


def left_out_table(experiment: Experiment) -> str | None:
    """The lines that have more characters than the network has frames, as tab-separated values; None without any.

    Those of the training split are left out; those of the validation split can never be read in full.
    """
    rows = [("split", "name", "text")]
    for name in LOOKED_AT_IN_TRAINING:
        split = experiment.dataset.split(name)
        if isinstance(split, LineSplit):
            texts = split.texts
            left_out = np.flatnonzero(~experiment.model.trainable(split)).tolist()
            rows += [(name, split.ids[position], texts[position]) for position in left_out]
    if len(rows) == 1:
        return None
    return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)


def progress_warning(row: dict[str, Any]) -> str | None:
    """What is wrong with an epoch's report, in a sentence; None when nothing is."""
    if row["step"] < USUAL_BLANK_STEPS or row.get("val_blank_share", 0.0) < ALL_BLANK:
        return None
    return (
        f"after {row['step']:,} steps the network still reads nothing: every frame is blank. That is usual for the "
        f"first few hundred steps. If it lasts, change train_args.learning_rate, and look at the images and texts."
    )


def _impossible(train: LineSplit, trainable: NDArray[np.bool_]) -> str | None:
    left_out = np.flatnonzero(~trainable)
    if not len(left_out):
        return None
    are = "is" if len(left_out) == 1 else "are"
    return (
        f"{counted(len(left_out), 'line')} of {len(train):,} cannot be learnt and {are} left out: more characters "
        f"than the network has frames for the width ({_names(train, left_out)}). {LEFT_OUT} has all"
    )


def _inverted(model: Model, train: LineSplit) -> str | None:
    """Whether most of the area of most lines is as bright as ink should be."""
    looked_at = np.linspace(0, len(train) - 1, min(len(train), LINES_LOOKED_AT)).astype(int)
    light = np.mean([np.median(train.image(position)) > 127 for position in looked_at])
    ink = model.data_spec.ink
    if (light if ink == "light" else 1 - light) < 0.5:
        return None
    return f"the ink is said to be {ink}, but most of each line is {ink}: is it inverted? See dataset_args.source_ink"


def _unwritable(model: Model, train: LineSplit, validation: LineSplit) -> str | None:
    """Characters that are in texts but not in the charset."""
    texts = [visual_order(text) for text in (*train.texts, *validation.texts)]  # as labels are: brackets turn
    known = set("".join(model.data_spec.classes))
    missing = sorted(set().union(*texts) - known) if texts else []
    if not missing:
        return None
    shown = ", ".join(map(describe, missing[:5])) + (", …" if len(missing) > 5 else "")
    lines = sum(not known.issuperset(text) for text in texts)
    return (
        f"{counted(len(missing), 'character')} of the texts are not in the charset and can never be read: {shown} "
        f"(in {counted(lines, 'line')} of {len(texts):,})"
    )


def _names(split: LineSplit, positions: NDArray[np.integer[Any]]) -> str:
    ids = split.ids
    listed = ", ".join(f"'{ids[int(position)]}'" for position in positions[:NAMED])
    return listed + (", …" if len(positions) > NAMED else "")
