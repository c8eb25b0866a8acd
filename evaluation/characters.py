"""Evaluation of models that read one character an image."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.character_metrics import class_figures, confusion_matrix, rank_of_label, top_k_accuracy, wilson_interval
from evaluation.result import Evaluation
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model
from text_recognizer.models.character import TOP_K, CharacterModel


def measure(model: Model, split: Split) -> dict[str, float]:
    """ "loss", "accuracy" and the top-k accuracies."""
    return _metrics(*_read(model, split))


def evaluate(model: Model, split: Split, split_name: str) -> Evaluation:
    """Everything there is to say of a model on a split."""
    labels, probabilities, losses = _read(model, split)
    metrics = _metrics(labels, probabilities, losses)
    names = model.data_spec.classes
    count = len(labels)
    confusion = confusion_matrix(labels, np.argmax(probabilities, axis=1), len(names))
    return Evaluation(
        split=split_name,
        count=count,
        metrics=metrics,
        intervals={
            name: wilson_interval(round(value * count), count) for name, value in metrics.items() if name != "loss"
        },
        classes=class_figures(confusion, names),
        confusions=_confusions(confusion, names),
        predictions=list(_prediction_rows(labels, probabilities, losses, names)),
    )


def _read(model: Model, split: Split) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Labels (N,), probabilities (N, classes) and losses (N,) of a whole split."""
    assert isinstance(model, CharacterModel)
    scored = [(part.batch["label"], model.probabilities(part.outputs), part.losses) for part in model.score(split)]
    labels, probabilities, losses = (np.concatenate(column) for column in zip(*scored, strict=True))
    return labels, probabilities, losses


def _metrics(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], losses: NDArray[np.float32]
) -> dict[str, float]:
    metrics = {"loss": float(np.mean(losses, dtype=np.float64))}
    metrics["accuracy"] = top_k_accuracy(labels, probabilities, 1)
    for k in TOP_K:
        if k < probabilities.shape[1]:
            metrics[f"top_{k}_accuracy"] = top_k_accuracy(labels, probabilities, k)
    return metrics


def _confusions(confusion: NDArray[np.int64], names: tuple[str, ...], most: int = 20) -> list[tuple[str, str, int]]:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (np.unravel_index(flat, wrong.shape) for flat in order)
    return [(names[right], names[called], int(wrong[right, called])) for right, called in pairs if wrong[right, called]]


def _prediction_rows(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    losses: NDArray[np.float32],
    names: tuple[str, ...],
) -> Iterable[dict[str, Any]]:
    predicted = np.argmax(probabilities, axis=1)
    ranks = rank_of_label(labels, probabilities)
    for position, (label, best) in enumerate(zip(labels.tolist(), predicted.tolist(), strict=True)):
        yield {
            "position": position,
            "label": names[label],
            "predicted": names[best],
            "confidence": round(float(probabilities[position, best]), 6),
            "rank_of_label": int(ranks[position]),
            "loss": round(float(losses[position]), 6),
        }
