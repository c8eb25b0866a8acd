"""Single characters: metrics of each class, and confusions between classes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.breakdown import by_group, folded
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model

MOST_CONFUSIONS = 50


def extras(model: Model, split: Split, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Precision, recall and F1 of every class, the most frequent confusions, and where errors occur."""
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
    """The fields of an Evaluation that describe classes."""
    pairs = Counter((row["label"], row["predicted"]) for row in rows)
    wrong = sorted((-count, *pair) for pair, count in pairs.items() if pair[0] != pair[1])
    confusions = [(label, predicted, -count) for count, label, predicted in wrong[:MOST_CONFUSIONS]]
    return {"classes": class_figures(pairs, names), "confusions": confusions}


def class_figures(pairs: Mapping[tuple[str, str], int], names: Sequence[str]) -> list[dict[str, Any]]:
    """Metrics of every class: its images ("count"), precision, recall and F1, the harmonic mean of both.

    A metric is None if undefined: nothing was predicted as the class (precision), it has no images (recall), or
    either (F1).

    Args:
        pairs: counts of (label, predicted); sparse, because with thousands of classes few pairs occur.
    """
    counts, called = Counter[str](), Counter[str]()
    for (label, predicted), times in pairs.items():
        counts[label] += times
        called[predicted] += times
    figures = []
    for name in names:
        right, count, times = pairs.get((name, name), 0), counts[name], called[name]
        figures.append(
            {
                "class": name,
                "count": count,
                "precision": round(right / times, 6) if times else None,
                "recall": round(right / count, 6) if count else None,
                "f1": round(2 * right / (count + times), 6) if times and count else None,
            }
        )
    return figures
