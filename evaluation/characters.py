"""What else there is to say of single characters: figures of each class, and which are taken for which."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.character_metrics import class_figures, confusion_matrix
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model

MOST_CONFUSIONS = 20


def extras(model: Model, split: Split, rows: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG001 - as of lines
    """Precision, recall and F1 of every class, and the commonest confusions."""
    names = model.data_spec.classes
    numbers = {name: number for number, name in enumerate(names)}
    foreign = len(names)  # a reading that is no class: wrong, whatever it is
    labels, read = (
        np.array([numbers.get(row[key], foreign) for row in rows], np.int32) for key in ("label", "predicted")
    )
    confusion = confusion_matrix(labels, read, foreign + 1)[:foreign]
    return {"classes": class_figures(confusion, names), "confusions": _confusions(confusion[:, :foreign], names)}


def _confusions(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[tuple[str, str, int]]:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = (np.unravel_index(flat, wrong.shape) for flat in order)
    return [(names[right], names[called], int(wrong[right, called])) for right, called in pairs if wrong[right, called]]
