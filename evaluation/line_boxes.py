"""Evaluation of models that find the lines of a page."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.line_metrics import RESAMPLES, resampled_totals
from evaluation.result import Evaluation
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model, Prediction
from text_recognizer.models.line_detector import LineDetectorModel, line_boxes
from text_recognizer.wording import counted

SAME_BOX_IOU = 0.5

Boxes = NDArray[np.int32]


def measure(model: Model, split: Split) -> dict[str, float]:
    """The loss, the share of pixels that are right, and precision, recall and F1 of lines."""
    assert isinstance(model, LineDetectorModel)
    losses, counts, _, _ = _score(model, split, with_predictions=False)
    return {"loss": float(np.mean(losses))} | _rates(counts.sum(axis=0))


def evaluate(model: Model, split: Split, split_name: str) -> Evaluation:
    """The same with 95 % intervals over pages, and the lines found on every page.

    A line is found when its box and a right one share at least half of the area that either covers.
    """
    assert isinstance(model, LineDetectorModel)
    losses, counts, predictions, boxes = _score(model, split, with_predictions=True)
    rates = _rates(counts.sum(axis=0))
    drawn = [_rates(totals) for totals in resampled_totals(counts.astype(np.float64), RESAMPLES)]
    intervals = {
        name: tuple(np.nanpercentile([one[name] for one in drawn], [2.5, 97.5]).tolist())
        for name, value in rates.items()
        if math.isfinite(value)
    }
    return Evaluation(
        split=split_name,
        count=len(split),
        metrics={"loss": float(np.mean(losses))} | rates,
        intervals=intervals,
        predictions=list(_rows(split, losses, counts, predictions, boxes)),
        unit="page",
    )


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


def _score(
    model: LineDetectorModel, split: Split, with_predictions: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[Prediction], list[Boxes]]:
    """Of each page: its loss; (pages, 5) right pixels, pixels, lines matched, found, there; reading and boxes."""
    losses, counts, predictions, boxes = [], [], [], []
    for scored in model.score(split):
        labels = scored.batch["label"]
        right = np.argmax(scored.outputs, axis=-1) == labels
        found = model.boxes(scored.outputs)
        for page, lines in enumerate(found):
            there = line_boxes(labels[page])
            pixels = int(right[page].sum()), right[page].size
            counts.append((*pixels, matched_boxes(lines, there), len(lines), len(there)))
        losses.append(scored.losses)
        boxes += found
        predictions += model.decode(scored.outputs) if with_predictions else []
    return np.concatenate(losses), np.array(counts, np.int64), predictions, boxes


def _rates(totals: NDArray[Any]) -> dict[str, float]:
    """
    Args:
        totals: (5,) as in _score, added up over pages.
    """
    right, pixels, matched, found, there = map(float, totals)
    return {
        "pixel_accuracy": right / pixels,
        "line_precision": matched / found if found else math.nan,
        "line_recall": matched / there if there else math.nan,
        "line_f1": 2 * matched / (found + there) if found + there else math.nan,
    }


def _rows(
    split: Split, losses: NDArray[Any], counts: NDArray[np.int64], predictions: list[Prediction], boxes: list[Boxes]
) -> Iterator[dict[str, Any]]:
    names = getattr(split, "ids", None)
    for position, (loss, count, prediction, lines) in enumerate(
        zip(losses.tolist(), counts.tolist(), predictions, boxes, strict=True)
    ):
        yield {
            "position": position,
            **({"id": names[position]} if names is not None else {}),
            "label": counted(count[4], "line"),
            "predicted": prediction.text,
            "confidence": round(prediction.confidence, 6),
            "loss": round(loss, 6),
            "lines_matched": count[2],
            "boxes": lines.tolist(),
        }
