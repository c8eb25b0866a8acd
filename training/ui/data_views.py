"""Data as the page shows it: the registry, and the datasets of the runs with sizes, class balance, rejected samples."""

import json
from collections import Counter
from typing import Any

import numpy as np

from text_recognizer.datasets.base import Dataset, Split
from text_recognizer.datasets.remote.metadata import load_registry
from text_recognizer.errors import TextRecognizerError
from training.runs.run import Run
from training.runs.run_table import RunRow
from training.ui.samples import dataset_of, prepared_split
from training.views.datasets import describe_table
from training.views.index import Index

SAMPLES, LISTED, MOST_COUNTED = 24, 100, 100_000


def data(index: Index) -> dict[str, Any]:
    """Remote tables with their state, and datasets of runs by key. Raises DataError: the registry is unreadable."""
    used: dict[str, dict[str, Any]] = {}
    for key, row in index.keyed():
        if row.damage is None:
            arguments = json.dumps(row.spec.get("dataset_args", {}))
            one = used.setdefault(
                f"{row.spec['dataset']} {arguments}",
                {"run": key, "dataset": row.spec["dataset"], "arguments": arguments, "runs": 0},
            )
            one["runs"] += 1
    return {"remote": [describe_table(table) for table in load_registry().values()], "used": list(used.values())}


def dataset(row: RunRow, split: str, seed: int) -> dict[str, Any]:
    """A run's dataset on this machine. Raises TextRecognizerError: it is not prepared, or the spec is unusable here."""
    found = dataset_of(row)
    samples = prepared_split(found, split)
    chosen = np.random.default_rng(seed).permutation(len(samples))[:SAMPLES].tolist()
    return {
        "dataset": found.name,
        "store": found.store_path,
        "sizes": dict(found.sizes()),
        "classes": len(found.data_spec.classes),
        "balance": _balance(found, samples),
        "rejected": _rejected(found),
        "samples": [{"position": position, "text": samples.text(position)} for position in sorted(chosen)],
        "is_changed": _has_changed(found, row),
    }


def _balance(found: Dataset, samples: Split) -> list[tuple[str, int]]:
    """Counts of the classes, or of the characters of the texts, in the first samples; the most frequent first."""
    if found.data_spec.target == "pixels":
        return []
    texts = [samples.text(position) for position in range(min(len(samples), MOST_COUNTED))]
    if found.data_spec.target == "character":
        return Counter(texts).most_common()
    return Counter(character for text in texts for character in text).most_common()


def _rejected(found: Dataset) -> dict[str, Any]:
    rejected = found.rejected
    reasons = Counter(one.common_reason for one in rejected)
    listed = [[one.name, one.reason, one.text] for one in rejected[:LISTED]]
    return {"count": len(rejected), "reasons": reasons.most_common(), "listed": listed}


def _has_changed(found: Dataset, row: RunRow) -> bool:
    """Whether the dataset has changed since the run."""
    try:
        noted = Run(row.folder).read_json("environment.json").get("dataset_fingerprint")
        return isinstance(noted, str) and noted != found.fingerprint
    except TextRecognizerError:
        return False
