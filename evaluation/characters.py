"""Single characters: figures of each class, and which classes are taken for which."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.breakdown import by_group, folded
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model

MOST_CONFUSIONS = 50


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


def extras(model: Model, split: Split, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Precision, recall and F1 of every class, the commonest confusions, and where the errors are."""
    pairs = [(folded(row["label"]), folded(row["predicted"])) for row in rows]
    left = Counter((a, b) for a, b in pairs if a != b).most_common(MOST_CONFUSIONS)
    return class_fields(rows, model.data_spec.classes) | {
        "details": {
            "by_group": by_group(rows, split.groups),
            "accuracy_folded": sum(a == b for a, b in pairs) / max(len(pairs), 1),
            "confusions_folded": [{"label": a, "predicted": b, "count": count} for (a, b), count in left],
        }
    }


def class_fields(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """What an Evaluation holds of classes with these names."""
    pairs = Counter((row["label"], row["predicted"]) for row in rows)
    wrong = sorted((-count, *pair) for pair, count in pairs.items() if pair[0] != pair[1])
    confusions = [(label, predicted, -count) for count, label, predicted in wrong[:MOST_CONFUSIONS]]
    return {"classes": class_figures(pairs, names), "confusions": confusions}


def class_figures(pairs: Mapping[tuple[str, str], int], names: Sequence[str]) -> list[ClassFigures]:
    """Precision, recall and F1 of every class.

    Args:
        pairs: how often (right class, predicted class) occurs: of thousands of classes, few of all pairs do.
    """
    counts, called = Counter[str](), Counter[str]()
    for (label, predicted), times in pairs.items():
        counts[label] += times
        called[predicted] += times
    return [_figures(name, pairs.get((name, name), 0), counts[name], called[name]) for name in names]


def _figures(name: str, right: int, count: int, called: int) -> ClassFigures:
    precision, recall = right / called if called else math.nan, right / count if count else math.nan
    f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else precision + recall
    return ClassFigures(name, count, precision, recall, f1)
