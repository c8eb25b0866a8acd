"""Evaluation of a model on one split: metrics with intervals, every single prediction. The kind of sample says how."""

import json
from pathlib import Path
from types import ModuleType

from evaluation import characters, line_boxes, lines
from evaluation.result import Evaluation
from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model

__all__ = ["Evaluation", "evaluate", "measure", "write_evaluation"]

# What DataSpec.target names, and who judges it: measure(model, split) and evaluate(model, split, split_name).
JUDGES: dict[str, ModuleType] = {"character": characters, "line": lines, "pixels": line_boxes}


def measure(model: Model, split: Split) -> dict[str, float]:
    """The metrics of a split alone, those that the model says it has; cheap enough for every epoch."""
    measured: dict[str, float] = JUDGES[model.target].measure(model, split)
    return measured


def evaluate(model: Model, split: Split, split_name: str) -> Evaluation:
    """Everything there is to say of a model on a split."""
    evaluation: Evaluation = JUDGES[model.target].evaluate(model, split, split_name)
    return evaluation


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """evaluation.json and predictions.jsonl, each whole or not there."""
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in evaluation.predictions)
    text = json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False) + "\n"
    for name, content in (("predictions.jsonl", rows), ("evaluation.json", text)):
        temporary = folder / f".{name}.new"
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(folder / name)
