"""report.html of a run folder: one file that opens anywhere, without a network."""

import base64
import json
from pathlib import Path
from typing import Any

from evaluation.charts import line_chart
from evaluation.confidence import confidence_charts
from evaluation.pages import render
from evaluation.predictions import loss_of
from text_recognizer.datasets.base import Split
from text_recognizer.images.read import png_bytes
from text_recognizer.whole_files import replace_file

WORST_SHOWN, CLASSES_SHOWN = 40, 50
NOT_CURVES = ("epoch", "step", "time", "best_epoch")


def write_report(run_folder: Path, test_split: Split) -> None:
    """Writes report.html from the files of a finished evaluation; it is on the disk when this returns.

    Args:
        test_split: where the images of predictions.jsonl are.
    """
    replace_file(run_folder / "report.html", render("run_report.html", **_content(run_folder, test_split)))


def _content(run_folder: Path, test_split: Split) -> dict[str, Any]:
    predictions = _read_lines(run_folder / "predictions.jsonl")
    files = {
        name: json.loads((run_folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("spec", "environment", "evaluation")
    }
    evaluation = files["evaluation"]
    if evaluation["classes"]:
        evaluation["confusions"] = _with_pictures(evaluation["confusions"], predictions, test_split)
    return {
        **files,
        "run_id": run_folder.name,
        "shown_classes": worst_classes(evaluation["classes"], CLASSES_SHOWN),
        "confidence_charts": confidence_charts(evaluation),
        "charts": _charts(_read_lines(run_folder / "metrics.jsonl")),
        "worst": worst_predictions(predictions, test_split, WORST_SHOWN),
        "wrong_count": sum(row["label"] != row["predicted"] for row in predictions),
    }


def _charts(rows: list[dict[str, Any]]) -> list[str]:
    """One chart a metric: training and validation together."""
    names = {name for row in rows for name, value in row.items() if isinstance(value, (int, float))}
    curves = sorted(name for name in names if not name.startswith(("val_", "test_")) and name not in NOT_CURVES)
    curves += sorted(name for name in names if name.startswith("val_") and name[4:] not in names)
    charts = []
    for name in curves:
        series = {curve: _points(rows, curve) for curve in dict.fromkeys((name, f"val_{name.removeprefix('val_')}"))}
        charts.append(line_chart(series, "epoch", name))
    return charts


def _points(rows: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(float(row["epoch"]), float(row[name])) for row in rows if isinstance(row.get(name), (int, float))]


def worst_predictions(predictions: list[dict[str, Any]], test_split: Split, most: int) -> list[dict[str, Any]]:
    """The rows with the largest loss, each with its image as "png", encoded for a page."""
    ranked = sorted(predictions, key=loss_of, reverse=True)[:most]
    return [{**row, "png": _png(test_split, row["position"])} for row in ranked]


def worst_classes(classes: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """All classes in their order; where they are too many, those with images that have the smallest F1."""
    if len(classes) <= most:
        return classes
    # F1 is null where nothing was read as the class: all of its images are wrong.
    return sorted((row for row in classes if row["count"]), key=lambda row: (row["f1"] or 0.0, -row["count"]))[:most]


def _with_pictures(
    confusions: list[dict[str, Any]], predictions: list[dict[str, Any]], test_split: Split
) -> list[dict[str, Any]]:
    """Confusions of characters, each with an image of one as "png"."""
    positions = {(row["label"], row["predicted"]): row["position"] for row in reversed(predictions)}
    return [{**one, "png": _png(test_split, positions[one["label"], one["predicted"]])} for one in confusions]


def _png(split: Split, position: int) -> str:
    image = split.image(position)
    return base64.b64encode(png_bytes(image, max(1, 64 // image.shape[0]))).decode()


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Objects, one a line. JSON may hold characters that splitlines() takes for the end of a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
