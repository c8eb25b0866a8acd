"""The default reader: milliseconds a line in batches and alone, against what a reader's user bears."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.models.bundle import write_bundle
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_reader import LineReader
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.figures import Figure, medians, seconds

ROUNDS = 5
LINES = 128
BATCHED_MS, FIRST_MS = 10.0, 30.0
HEIGHT, CLASSES = 40, 98


def measure() -> list[Figure]:
    lines = made_lines()
    with tempfile.TemporaryDirectory() as folder:
        predictor = _reader(Path(folder, "model"))
    first = _ms(predictor, sorted(lines, key=lambda line: line.shape[1])[LINES // 2])
    predictor.predict_many(lines)  # the kernels for each width
    batched, alone = medians(
        ROUNDS,
        lambda: seconds(lambda: predictor.predict_many(lines)) * 1000 / LINES,
        lambda: float(np.median([_ms(predictor, one) for one in lines[:20]])),
    )
    return [
        Figure(f"{LINES} lines, greedy, from pictures to texts / budget", batched, BATCHED_MS, "ms a line", "<= 1"),
        Figure("first line of a process that has its reader, of median width / budget", first, FIRST_MS, "ms", "<= 1"),
        Figure("one line alone / budget", alone, FIRST_MS, "ms", "<= 1"),
    ]


def made_lines() -> list[NDArray[np.uint8]]:
    """Dark strokes on light paper, 64 pixels high and 5 to 20 times as wide."""
    random = np.random.default_rng(0)
    lines = []
    for width in random.integers(320, 1280, LINES).tolist():
        line = np.full((64, width), 235, np.uint8)
        for left in range(8, width - 8, 14):
            top = int(random.integers(8, 30))
            line[top : top + 28, left : left + 4] = 30
        lines.append(line)
    return lines


def _reader(folder: Path) -> LinePredictor:
    write_reader(folder)
    return LinePredictor(folder)


def write_reader(folder: Path) -> None:
    """The bundle of an untrained reader, which reads no faster and no slower than a trained one."""
    classes = ("", *(chr(33 + index) for index in range(CLASSES - 1)))
    data_spec = DataSpec((HEIGHT, None, 1), classes, "line", preprocessing=("contrast",))
    spec = ExperimentSpec("LineListDataset", "LineModelCtc", "line_reader")
    write_bundle(folder, LineModelCtc(data_spec, LineReader()), spec, "made", {}, "none")


def _ms(predictor: LinePredictor, line: NDArray[np.uint8]) -> float:
    return seconds(lambda: predictor.predict(line)) * 1000
