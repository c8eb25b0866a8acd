"""LineDetectorModel: the line of each pixel of a page, and the boxes of the lines."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec, Split
from text_recognizer.decoding.greedy import log_softmax
from text_recognizer.errors import SpecError
from text_recognizer.layout.cores import CONFIDENT, CORE_CLASSES, FOUND, lines_of, shapes_of
from text_recognizer.layout.shapes import LineShape
from text_recognizer.models.base import Batch, Model, ScoredBatch, cross_entropy, right_classes
from text_recognizer.models.metric import Counts, Metric
from text_recognizer.models.prediction import Prediction
from text_recognizer.networks.base import Network
from text_recognizer.wording import counted

Boxes = NDArray[np.int32] | NDArray[np.float32]
SMALLEST_HEIGHT_PX, SMALLEST_WIDTH_PX = 3, 6  # of a line in the detector's image: smaller parts are specks
SAME_LINE_OVERLAP = 0.5  # vertical overlap above which two parts belong to one line
SAME_BOX_IOU = 0.5
PIXEL_ACCURACY = Metric("pixel_accuracy", larger_is_better=True)


class LineDetectorModel(Model):
    """A class for every pixel: background, odd line, even line; or background, line, core of a line.

    So neighbouring lines are always separated. With cores, lines have baselines and outlines too.

    Raises:
        SpecError: the dataset does not have these three classes.
    """

    target = "pixels"
    unit = "page"
    score_batch_size = 16

    def __init__(self, data_spec: DataSpec, network: Network) -> None:
        super().__init__(data_spec, network)
        if len(data_spec.classes) != 3:
            raise SpecError(
                f"needs the classes background, odd line and even line. The dataset has {len(data_spec.classes)}: "
                f"{', '.join(data_spec.classes[:5])}."
            )

    @property
    def output_shape(self) -> tuple[Any, ...]:
        height, width, _ = self.data_spec.input_shape
        return height, width, len(self.data_spec.classes)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        f1 = Metric("line_f1", larger_is_better=True)
        halves = [Metric(name, larger_is_better=True, shown=False) for name in ("line_precision", "line_recall")]
        return (f1, PIXEL_ACCURACY, *halves)

    @property
    def metrics_in_training(self) -> tuple[Metric, ...]:
        return (PIXEL_ACCURACY,)

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) cross-entropy, mean over all pixels."""
        import keras

        return keras.ops.mean(cross_entropy(batch, outputs, label_smoothing), axis=(1, 2))

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, tuple[Any, Any]]:
        return {"pixel_accuracy": right_classes(batch, outputs)}

    def counts(self, scored: ScoredBatch, readings: Sequence[Prediction] | None = None) -> dict[str, Counts]:  # noqa: ARG002 - by the outputs
        labels = scored.batch["label"]
        right = (np.argmax(scored.outputs, axis=-1) == labels).sum(axis=(1, 2))
        pairs = list(zip(self.boxes(scored.outputs), _annotated(scored), strict=True))
        found, there = (np.array([len(pair[side]) for pair in pairs]) for side in (0, 1))
        matched = np.array([matched_boxes(*pair) for pair in pairs])
        whole = ~_partly_annotated(scored.split, scored.positions)  # for the others, precision is unknown
        return {
            "line_f1": (2 * matched * whole, (found + there) * whole),
            "pixel_accuracy": (right, np.full(len(labels), labels[0].size)),
            "line_precision": (matched * whole, found * whole),
            "line_recall": (matched, there),
        }

    def details(self, scored: ScoredBatch, readings: Sequence[Prediction]) -> list[dict[str, Any]]:  # noqa: ARG002 - by the outputs
        partial = _partly_annotated(scored.split, scored.positions).tolist()
        rows = zip(self.boxes(scored.outputs), _annotated(scored), partial, strict=True)
        return [
            {
                "label": counted(len(there), "line"),
                "lines_matched": matched_boxes(found, there),
                "boxes": found.tolist(),
                "partly_annotated": is_partial,
            }
            for found, there, is_partial in rows
        ]

    def data_warnings(self, train: Split, validation: Split) -> list[str]:  # noqa: ARG002 - chooses no weights
        if not _partly_annotated(validation, np.arange(len(validation))).all():
            return []
        return [
            "no validation page has all of its lines annotated, so that val_line_f1 is not known. Set "
            "train_args.monitor to val_line_recall"
        ]

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:  # noqa: ARG002 - of lines
        """The number of lines on each page; see `boxes` for their boxes. The confidence is the mean over pixels."""
        sure = np.exp(log_softmax(outputs).max(axis=-1)).mean(axis=(1, 2))
        return [
            Prediction(counted(len(found), "line"), float(confidence))
            for found, confidence in zip(self.boxes(outputs), sure, strict=True)
        ]

    def score(self, split: Split, chosen: NDArray[np.integer[Any]] | None = None) -> Iterator[ScoredBatch]:
        for scored in super().score(split, chosen):
            mirrored = self.outputs(_mirrored(scored.batch["image"]))
            yield replace(scored, outputs=_together(scored.outputs, mirrored))

    def seen_by(self, network: Callable[[NDArray[np.uint8]], NDArray[Any]], images: NDArray[np.uint8]) -> NDArray[Any]:
        return _together(network(images), network(_mirrored(images)))

    def boxes(self, outputs: NDArray[Any]) -> list[Boxes]:
        """The lines of each page from top to bottom: (lines, 4) left, top, right, bottom in pixels, ends excluded."""
        if not self._finds_cores:
            return [line_boxes(classes) for classes in np.argmax(outputs, axis=-1)]
        found = (lines_of(page, FOUND) for page in _cores(outputs))
        return [np.array([line.box for line in lines], np.float32).reshape(-1, 4) for lines in found]

    def find_lines(self, images: NDArray[np.uint8]) -> list[list[LineShape]]:
        """The lines of pages (B, H, W, 1) in the dataset's form; with cores, including their curves."""
        outputs = self.seen_by(self.outputs, images)
        if self._finds_cores:
            dark = images[..., 0] if self.data_spec.ink == "dark" else np.invert(images[..., 0])
            return [shapes_of(lines_of(cores, FOUND), page) for cores, page in zip(_cores(outputs), dark, strict=True)]
        return [[LineShape.of_box(box) for box in boxes.tolist()] for boxes in self.boxes(outputs)]

    @property
    def _finds_cores(self) -> bool:
        return self.data_spec.classes == CORE_CLASSES


def _cores(outputs: NDArray[Any]) -> NDArray[np.bool_]:
    """(B, H, W) the pixels of the lines' cores."""
    return log_softmax(outputs)[..., CORE_CLASSES.index("line core")] > math.log(CONFIDENT)


def _mirrored(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.flip(images, axis=2))


def _together(outputs: NDArray[Any], of_mirrored: NDArray[Any]) -> NDArray[Any]:
    """Mean probabilities of the outputs for pages and for their mirror images."""
    mirrored = np.flip(of_mirrored, axis=2)
    return np.asarray(np.logaddexp(log_softmax(outputs), log_softmax(mirrored)) - math.log(2))


def _annotated(scored: ScoredBatch) -> list[Boxes]:
    """The boxes of the lines of each page, if the split has them: a map of pixel classes loses narrow lines."""
    rows = zip(scored.positions.tolist(), scored.batch["label"], strict=True)
    known = [(scored.split.line_boxes(position), page) for position, page in rows]
    return [line_boxes(page) if boxes is None else boxes for boxes, page in known]


def _partly_annotated(split: Split, positions: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    partial, names = split.partly_annotated, split.ids
    return np.array([bool(names and names[position] in partial) for position in positions.tolist()], bool)


def line_boxes(classes: NDArray[np.integer[Any]]) -> Boxes:
    """The boxes (lines, 4) of the lines on one page (H, W) of pixel classes, from top to bottom; may be empty.

    Parts of one class side by side are one line: between two lines of one class is one of the other class.
    """
    from scipy import ndimage

    found: list[tuple[int, ...]] = []
    for kind in (1, 2):
        parts, _ = ndimage.label(ndimage.binary_dilation(classes == kind, np.ones((1, 3))), np.ones((3, 3)))
        boxes: list[tuple[int, ...]] = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(parts)
            if rows.stop - rows.start >= SMALLEST_HEIGHT_PX
        ]
        found += _joined(boxes)
    lines = [box for box in found if box[2] - box[0] >= SMALLEST_WIDTH_PX]
    lines.sort(key=lambda box: (box[1] + box[3], box[0]))
    return np.array(lines, np.int32).reshape(-1, 4)


def _joined(boxes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Joins boxes that share most of their rows."""
    joined: list[tuple[int, ...]] = []
    for box in sorted(boxes, key=lambda box: box[3] - box[1], reverse=True):
        for index, line in enumerate(joined):
            shared = min(box[3], line[3]) - max(box[1], line[1])
            if shared > SAME_LINE_OVERLAP * (box[3] - box[1]):
                joined[index] = (*map(min, box[:2], line[:2]), *map(max, box[2:], line[2:]))
                break
        else:
            joined.append(box)
    return joined


def matched_boxes(found: Boxes, right: Boxes) -> int:
    """The number of matches between found and true boxes; each true box matches once, best pairs first."""
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
