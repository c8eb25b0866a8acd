"""Metrics of characters, from labels and probabilities. Every rate can be given with its interval."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.models.character import rank_of_label


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


def accuracy(labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> float:
    """Share of images whose most probable class is the right one.

    Args:
        labels: (N,) class ids.
        probabilities: (N, classes); any score that rises with the probability gives the same result.
    Raises:
        ValueError: no images.
    """
    return top_k_accuracy(labels, probabilities, 1)


def top_k_accuracy(labels: NDArray[np.int32], probabilities: NDArray[np.float32], k: int) -> float:
    """Share of images whose right class is among the k most probable.

    Of equally probable classes the one with the smaller id ranks first, so a constant output earns 1/classes, not 1.
    """
    if len(labels) == 0:
        raise ValueError("the accuracy of no images is undefined.")
    return float(np.mean(rank_of_label(labels, probabilities) < k))


def class_figures(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[ClassFigures]:
    """Precision, recall and F1 of every class.

    Args:
        confusion: (classes, classes) counts, see `confusion_matrix`.
    """
    right = np.diag(confusion)
    called, actual = confusion.sum(axis=0), confusion.sum(axis=1)
    figures = []
    for index, name in enumerate(names):
        precision = _share(int(right[index]), int(called[index]))
        recall = _share(int(right[index]), int(actual[index]))
        f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else precision + recall
        figures.append(ClassFigures(name, int(actual[index]), precision, recall, f1))
    return figures


def confusion_matrix(labels: NDArray[np.int32], predicted: NDArray[np.integer[Any]], classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts: row = right class, column = predicted class."""
    flat = labels.astype(np.int64) * classes + predicted
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
