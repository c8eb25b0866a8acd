"""Samples as the page shows them: the predictions of a run and their images."""

import json
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.predictions import loss_of, prediction_fault
from text_recognizer.datasets.base import SPLIT_NAMES, Dataset, Split
from text_recognizer.errors import DataError, SpecError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.wording import received
from training.files.journals import read_journal
from training.runs.run_table import RunRow

ORDERS = ("worst", "best", "random")
MOST_SAMPLES = 200
HEIGHT_PX = 64
_one_at_a_time = threading.Lock()


def samples(row: RunRow, order: str, count: int, seed: int = 0) -> dict[str, Any]:
    """Predictions of a run on its test split.

    Args:
        order: by loss, or at random.
    Returns:
        "rows", and "problem": why there are no images of them, or null.
    Raises:
        SpecError: there is no such order, or too many are requested.
        RunError: the predictions cannot be read.
    """
    if order not in ORDERS:
        raise SpecError(f"samples are ordered by one of {', '.join(ORDERS)}. {received(order)}")
    if not 1 <= count <= MOST_SAMPLES:
        raise SpecError(f"1 to {MOST_SAMPLES} samples can be shown. {received(count)}")
    rows = predictions(row)
    if order == "random":
        chosen = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))[:count]]
    else:
        chosen = sorted(rows, key=loss_of, reverse=order == "worst")[:count]
    problem = None
    if chosen:
        try:
            for one in chosen:
                _check_label(row, one)
        except (DataError, SpecError, OSError, ValueError) as error:
            problem = str(error)
    kept = ("position", "label", "predicted", "confidence", "loss", "char_errors")
    plain = [{name: one[name] for name in kept if name in one} for one in chosen]
    return {
        "rows": [one | {"edits": edits(one["label"], one["predicted"])} for one in plain],
        "problem": problem,
        "wrong": sum(one["label"] != one["predicted"] for one in rows),
        "count": len(rows),
    }


def predictions(row: RunRow) -> list[dict[str, Any]]:
    """All rows of predictions.jsonl, cached until the file changes."""
    path = row.folder / "predictions.jsonl"
    try:
        found = path.stat()
    except OSError:
        return []
    return _predictions(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _predictions(path: Path, _mtime_ns: int, _size: int) -> list[dict[str, Any]]:
    return read_journal(path, prediction_fault)


def picture(row: RunRow, position: int, split: str = "test") -> bytes:
    """A sample of a run's dataset as PNG. Raises TextRecognizerError: it is not available."""
    from text_recognizer.images.read import png_bytes

    samples = prepared_split(dataset_of(row), split)
    if not 0 <= position < len(samples):
        raise DataError(f"the {split} split has {len(samples)} samples. Received: {position}.")
    with _one_at_a_time:
        try:
            image = samples.image(position)
        except ValueError as error:
            raise DataError(f"image {position} of the {split} split cannot be read: {error}") from error
    return png_bytes(image, max(1, HEIGHT_PX // image.shape[0]))


def dataset_of(row: RunRow) -> Dataset:
    """The dataset that a run was trained on. Raises DataError, SpecError: it is damaged; its spec is unusable here."""
    if row.damage is not None:
        raise DataError(row.damage)
    with _one_at_a_time:
        return _dataset(json.dumps(row.spec), str(row.folder))


def prepared_split(dataset: Dataset, name: str) -> Split:
    """A split of the dataset on this machine; nothing is downloaded. Raises DataError, SpecError: it is missing."""
    if name not in SPLIT_NAMES:
        raise SpecError(f"a split is one of {', '.join(SPLIT_NAMES)}. {received(name)}")
    with _one_at_a_time:
        if not dataset.is_prepared():
            raise DataError(f"{dataset.name} is not prepared on this machine, so there are no images.")
        return dataset.split(name)


@lru_cache(maxsize=8)
def _dataset(spec: str, folder: str) -> Dataset:
    from text_recognizer.experiment import assemble

    parsed = ExperimentSpec.parse(json.loads(spec), f"{folder}/spec.json", f"the run folder {folder}")
    return assemble(parsed, has_begun=True).dataset


def _check_label(row: RunRow, one: Mapping[str, Any]) -> None:
    """An image must not be shown with another sample's label. Raises DataError: the sample here is another one."""
    split = prepared_split(dataset_of(row), "test")
    position = one["position"]
    with _one_at_a_time:
        if position < len(split) and split.text(position) == one["label"]:
            return
    raise DataError(f"the data of {row.spec['dataset']} has changed since the run: its images are of other samples.")


def edits(label: str, predicted: str) -> list[list[str]]:
    """The fewest edits from prediction to label: [kind, predicted, label] of each span."""
    from rapidfuzz.distance import Levenshtein

    if max(len(label), len(predicted)) > 2000:
        return [["equal" if label == predicted else "replace", predicted, label]]
    found = Levenshtein.opcodes(predicted, label)
    return [[op.tag, predicted[op.src_start : op.src_end], label[op.dest_start : op.dest_end]] for op in found]
