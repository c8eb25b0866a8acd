"""report.html of a run folder: one self-contained file that needs no network."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.charts import line_chart
from evaluation.confidence import confidence_charts
from evaluation.evaluate import evaluation_text
from evaluation.pages import render
from evaluation.predictions import loss_of
from evaluation.result import Evaluation
from text_recognizer.datasets.base import Split
from text_recognizer.errors import system_errors
from text_recognizer.images.read import png_bytes
from text_recognizer.whole_files import replace_file

WORST_SHOWN, SHOWN, CLASSES_SHOWN = 40, 12, 50
BREAKDOWNS = {
    "by_length": "By length of the text, in characters",
    "by_group": "By writer or page, highest rates first",
    "by_character": "By character, most frequent first",
}
NOT_CURVES = ("epoch", "step", "time", "best_epoch")


def write_report(run_folder: Path, test_split: Split, reports: list[dict[str, Any]]) -> None:
    """Writes report.html of a finished evaluation, with images of the test split; flushed to disk.

    Args:
        reports: rows of metrics.jsonl, without unreadable lines.
    """
    names = ("spec", "environment", "evaluation")
    files = {name: json.loads((run_folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    figures = _figures(files["evaluation"], _read_lines(run_folder / "predictions.jsonl"), test_split)
    page = render("run_report.html", **{**files, "run_id": run_folder.name, "charts": _charts(reports), **figures})
    replace_file(run_folder / "report.html", page)


def write_evaluation_report(path: Path, evaluation: Evaluation, split: Split, about: Mapping[str, Any]) -> None:
    """Writes a report of one evaluation, without a run. Raises DataError: it cannot be written.

    Args:
        about: "spec" and "run_id" of the bundle, "dataset" it was evaluated on, "notes".
    """
    figures = _figures(json.loads(evaluation_text(evaluation.to_json())), evaluation.predictions, split)
    with system_errors(f"write the report {path}", "Name another file."):
        replace_file(path, render("run_report.html", **about, **figures))


def _figures(evaluation: dict[str, Any], predictions: list[dict[str, Any]], split: Split) -> dict[str, Any]:
    """The values of an evaluation (as in evaluation.json) that a report shows, and samples with their images."""
    if evaluation["classes"]:  # an image of each confusion, and one of the class it was read as
        places = {(row["label"], row["predicted"]): row["position"] for row in reversed(predictions)}
        right_last = sorted(places.items(), key=lambda one: one[0][0] == one[0][1])
        of_class = {label: place for (label, _), place in right_last}
        confusions = []
        for one in evaluation["confusions"]:
            shown = places[one["label"], one["predicted"]], of_class.get(one["predicted"])
            confusions.append({**one, "pngs": [_png(split, place) for place in shown if place is not None]})
        evaluation = {**evaluation, "confusions": confusions}
    chosen = np.random.default_rng(0).permutation(len(predictions))[:SHOWN]
    wrong = sum(row["label"] != row["predicted"] for row in predictions)
    return {
        "evaluation": evaluation,
        "confidence_charts": confidence_charts(evaluation),
        "shown_classes": worst_classes(evaluation["classes"], CLASSES_SHOWN),
        "samples": {
            f"Worst, of {wrong} wrong in {len(predictions):,}": worst_predictions(predictions, split, WORST_SHOWN),
            "Best": _pictured(sorted(predictions, key=loss_of)[:SHOWN], split),
            "Random": _pictured([predictions[place] for place in sorted(chosen)], split),
        },
        "breakdowns": {title: evaluation[key] for key, title in BREAKDOWNS.items() if evaluation.get(key)},
    }


def _charts(rows: list[dict[str, Any]]) -> list[str]:
    """One chart per metric, with training and validation."""
    names = {name for row in rows for name, value in row.items() if isinstance(value, (int, float))}
    curves = sorted(name for name in names if not name.startswith(("val_", "test_")) and name not in NOT_CURVES)
    curves += sorted(name for name in names if name.startswith("val_") and name[4:] not in names)
    charts = []
    for name in curves:
        pair = dict.fromkeys((name, f"val_{name.removeprefix('val_')}"))
        points = {
            one: [(row["epoch"], row[one]) for row in rows if isinstance(row.get(one), (int, float))] for one in pair
        }
        charts.append(line_chart(points, "epoch", name))
    return charts


def worst_predictions(predictions: list[dict[str, Any]], test_split: Split, most: int) -> list[dict[str, Any]]:
    """The rows with the largest loss, each with its image as "png" in base64."""
    return _pictured(sorted(predictions, key=loss_of, reverse=True)[:most], test_split)


def _pictured(rows: list[dict[str, Any]], split: Split) -> list[dict[str, Any]]:
    return [{**row, "png": _png(split, row["position"])} for row in rows]


def worst_classes(classes: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """All classes in their order; if there are too many, those with images that have the lowest F1."""
    if len(classes) <= most:
        return classes
    # F1 is null if nothing was read as the class: all of its images are wrong.
    return sorted((row for row in classes if row["count"]), key=lambda row: (row["f1"] or 0.0, -row["count"]))[:most]


def _png(split: Split, position: int) -> str:
    image = split.image(position)
    return base64.b64encode(png_bytes(image, max(1, 64 // image.shape[0]))).decode()


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """JSON objects, one per line. JSON may contain characters that splitlines() would split at."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
