"""Single runs, and runs side by side."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from evaluation.compare import changes, compare_predictions
from evaluation.predictions import prediction_fault
from text_recognizer.spec import flatten
from training.files.journals import read_journal
from training.runs.run import Run
from training.runs.run_table import RunRow, read_row


def described(run: Run) -> dict[str, Any]:
    """Everything about one run. Raises RunError: it is damaged."""
    row = read_row(run.folder)
    return {
        "id": run.id,
        "folder": str(run.folder),
        **asdict(run.status()),
        **({} if row is None else {"state": row.state, "epoch": row.value("epoch") or 0}),
        "damage": run.damage() or (row and row.damage),
        "spec": run.spec.to_json(),
        "environment": run.read_json("environment.json") if run.has("environment.json") else None,
        "rows": run.rows(),
    }


def compared(rows: Sequence[RunRow]) -> dict[str, Any]:
    """Specs and metrics of runs side by side; for two, a test. Raises RunError: predictions cannot be read."""
    predictions = [read_journal(row.folder / "predictions.jsonl", prediction_fault) for row in rows]
    comparison = compare_predictions(*predictions) if len(rows) == 2 else None
    return {
        **differences(rows),
        "test": None if comparison is None else asdict(comparison),
        "in_words": None if comparison is None else comparison.in_words(),
        "changes": {} if comparison is None else changes(*predictions),
    }


def differences(rows: Sequence[RunRow]) -> dict[str, Any]:
    """Differing keys of the runs' specs, and their metrics."""
    flat = [flatten(row.spec) for row in rows]
    every = dict.fromkeys(key for one in flat for key in one)
    keys = [key for key in every if len({json.dumps(one.get(key)) for one in flat}) > 1]
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    return {
        "differing": {key: [one.get(key) for one in flat] for key in keys},
        "metrics": {name: [row.value(name) for row in rows] for name in metrics},
    }
