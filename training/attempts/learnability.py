"""Warnings about data that is hard to learn, before a training and in its first epochs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import Split, SplitName
from text_recognizer.errors import SpecError
from text_recognizer.experiment import Experiment
from text_recognizer.models.base import Model, wrong_result
from text_recognizer.wording import counted, received

LOOKED_AT_IN_TRAINING: tuple[SplitName, ...] = ("train", "validation")
LEFT_OUT = "left_out.tsv"  # in a run folder
NAMED = 3
ALL_BLANK = 0.999
USUAL_BLANK_STEPS = 500  # readers trained with CTC output only blanks for a few hundred steps


def data_warnings(model: Model, train: Split, validation: Split, trainable: NDArray[np.bool_]) -> list[str]:
    """Warnings about data that is hard or impossible to learn."""
    found: Any = model.data_warnings(train, validation)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise wrong_result(model, "data_warnings", "a list of texts", received(found))
    left_out = np.flatnonzero(~trainable)
    if len(left_out):
        what = f"{counted(len(left_out), model.target)} of {len(train):,} cannot be learnt"
        are = "is" if len(left_out) == 1 else "are"
        why = f"{model.untrainable} ({_names(train, left_out)})"
        remedy = _remedy(model, train, left_out).removesuffix(".")
        about = ". ".join(filter(None, [f"{what} and {are} left out: {why}", remedy, f"{LEFT_OUT} has all"]))
        return [about, *found]
    return list(found)


def check_learnable(experiment: Experiment) -> None:
    """Checks that the data has trainable samples.

    Raises:
        SpecError: no sample of the prepared dataset is trainable.
        DataError: a text to learn from cannot be read.
    """
    experiment.model.check_texts()
    train = experiment.dataset.split("train")
    if experiment.model.can_be_learnt(train).any():
        return
    model, left_out = experiment.model, np.arange(len(train))
    raise SpecError(
        f"no {model.target} of the training split can be learnt by network '{experiment.spec.network}': each has "
        f"{model.untrainable} ({_names(train, left_out)}). {_remedy(model, train, left_out)}"
    )


def left_out_table(experiment: Experiment) -> str | None:
    """The samples that the model cannot learn, as tab-separated values; None if there are none.

    Those of the training split are left out; those of the validation split can never be read completely.
    """
    rows = [("split", "name", "text")]
    for name in LOOKED_AT_IN_TRAINING:
        split = experiment.dataset.split(name)
        left_out = np.flatnonzero(~experiment.model.can_be_learnt(split)).tolist()
        rows += [(name, _name(split, position), split.text(position)) for position in left_out]
    if len(rows) == 1:
        return None
    return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)


def progress_warning(row: dict[str, Any]) -> str | None:
    """A warning about an epoch's report, or None."""
    if row["step"] < USUAL_BLANK_STEPS or row.get("val_blank_share", 0.0) < ALL_BLANK:
        return None
    return (
        f"after {row['step']:,} steps the network still reads nothing: every frame is blank. That is usual for the "
        f"first few hundred steps. If it lasts, change train_args.learning_rate, and look at the images and texts."
    )


def _remedy(model: Model, split: Split, left_out: NDArray[np.integer[Any]]) -> str:
    found: Any = model.untrainable_remedy(split, left_out)
    if not isinstance(found, str):
        raise wrong_result(model, "untrainable_remedy", "a text", received(found))
    return str(found)


def _names(split: Split, positions: NDArray[np.integer[Any]]) -> str:
    listed = ", ".join(f"'{_name(split, int(position))}'" for position in positions[:NAMED])
    return listed + (", …" if len(positions) > NAMED else "")


def _name(split: Split, position: int) -> str:
    return str(position) if split.ids is None else split.ids[position]
