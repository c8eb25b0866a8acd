"""Single characters: figures of each class, and which classes are taken for which."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model

MOST_CONFUSIONS = 20


@dataclass(frozen=True)
class ClassFigures:
    """How well one class is recognised.

    Args:
        count: images of the class.
        precision: share of the images called this class that are; NaN when none is called so.
        recall: share of the class's images that are found; NaN when there are none.
        f1: harmonic mean of both; NaN when either is.
    """

    name: str
    count: int
    precision: float
    recall: float
    f1: float


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


def confusion_matrix(labels: NDArray[np.int32], predicted: NDArray[np.integer[Any]], classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts: row = right class, column = predicted class."""
    flat = labels.astype(np.int64) * classes + predicted
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def class_figures(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[ClassFigures]:
    """Precision, recall and F1 of every class.

    Args:
        confusion: (classes, classes) counts, see `confusion_matrix`.
    """
    figures = []
    for index, (name, count, called) in enumerate(
        zip(names, confusion.sum(axis=1), confusion.sum(axis=0), strict=False)
    ):
        right = int(confusion[index, index])
        precision, recall = right / called if called else math.nan, right / count if count else math.nan
        f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else precision + recall
        figures.append(ClassFigures(name, int(count), float(precision), float(recall), float(f1)))
    return figures


def _confusions(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[tuple[str, str, int]]:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = (np.unravel_index(flat, wrong.shape) for flat in order)
    return [(names[right], names[called], int(wrong[right, called])) for right, called in pairs if wrong[right, called]]
