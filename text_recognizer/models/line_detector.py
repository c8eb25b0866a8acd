"""LineDetectorModel: which pixels of a page belong to which line, and the boxes of the lines."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.decoding.greedy import log_softmax
from text_recognizer.errors import SpecError
from text_recognizer.models.base import Batch, Model, Prediction
from text_recognizer.networks.base import Network
from text_recognizer.wording import counted

Boxes = NDArray[np.int32]
SMALLEST_HEIGHT_PX, SMALLEST_WIDTH_PX = 3, 6  # of a line in the detector's image: what is smaller is a speck
SAME_LINE_OVERLAP = 0.5  # of the heights of two parts, above which they are parts of one line


class LineDetectorModel(Model):
    """A class for every pixel: background, odd line, even line. Neighbouring lines so never run into each other.

    Raises:
        SpecError: the dataset has other classes than these three.
    """

    target = "pixels"

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
    def metrics(self) -> tuple[str, ...]:
        return ("loss", "pixel_accuracy", "line_precision", "line_recall", "line_f1")

    @property
    def metrics_in_training(self) -> tuple[str, ...]:
        return ("pixel_accuracy",)

    @property
    def score_batch_size(self) -> int:
        return 16

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) cross-entropy, mean over all pixels; smoothing as in CharacterModel."""
        import keras

        log_probabilities = keras.ops.log_softmax(keras.ops.cast(outputs, "float32"), axis=-1)  # (B, H, W, 3)
        labels = keras.ops.cast(batch["label"], "int32")
        chosen = keras.ops.one_hot(labels, len(self.data_spec.classes), dtype="float32")
        loss = -keras.ops.sum(log_probabilities * chosen, axis=-1)
        if label_smoothing:
            loss = (1 - label_smoothing) * loss - label_smoothing * keras.ops.mean(log_probabilities, axis=-1)
        return keras.ops.mean(loss, axis=(1, 2))

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, Any]:
        import keras

        best = keras.ops.cast(keras.ops.argmax(outputs, axis=-1), "int32")
        right = keras.ops.equal(best, keras.ops.cast(batch["label"], "int32"))
        return {"pixel_accuracy": keras.ops.mean(keras.ops.cast(right, "float32"), axis=(1, 2))}

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:  # noqa: ARG002 - of lines
        """How many lines there are on each page; their boxes are `boxes`. The confidence is that of the mean pixel."""
        sure = np.exp(log_softmax(outputs).max(axis=-1)).mean(axis=(1, 2))
        return [
            Prediction(counted(len(found), "line"), float(confidence))
            for found, confidence in zip(self.boxes(outputs), sure, strict=True)
        ]

    def boxes(self, outputs: NDArray[Any]) -> list[Boxes]:
        """The lines of each page from top to bottom: (lines, 4) left, top, right, bottom in pixels, ends excluded."""
        return [line_boxes(classes) for classes in np.argmax(outputs, axis=-1)]

    def find_lines(self, images: NDArray[np.uint8]) -> list[Boxes]:
        """The lines of pages (B, H, W, 1) that look like the dataset's."""
        return self.boxes(np.asarray(self._forward(images)))


def line_boxes(classes: NDArray[np.integer[Any]]) -> Boxes:
    """The boxes (lines, 4) of the lines on one page (H, W) of pixel classes, from top to bottom; none of a blank page.

    Parts of one class that lie beside each other are one line: between two lines of one class is one of the other.
    """
    from scipy import ndimage

    found: list[tuple[int, int, int, int]] = []
    for kind in (1, 2):
        parts, _ = ndimage.label(ndimage.binary_dilation(classes == kind, np.ones((1, 3))), np.ones((3, 3)))
        boxes = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(parts)
            if rows.stop - rows.start >= SMALLEST_HEIGHT_PX
        ]
        found += _joined(boxes)
    lines = [box for box in found if box[2] - box[0] >= SMALLEST_WIDTH_PX]
    lines.sort(key=lambda box: (box[1] + box[3], box[0]))
    return np.array(lines, np.int32).reshape(-1, 4)


def _joined(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Boxes that share most of their rows as one."""
    joined: list[tuple[int, int, int, int]] = []
    for box in sorted(boxes, key=lambda box: box[3] - box[1], reverse=True):
        for index, line in enumerate(joined):
            shared = min(box[3], line[3]) - max(box[1], line[1])
            if shared > SAME_LINE_OVERLAP * (box[3] - box[1]):
                joined[index] = (
                    min(box[0], line[0]),
                    min(box[1], line[1]),
                    max(box[2], line[2]),
                    max(box[3], line[3]),
                )
                break
        else:
            joined.append(box)
    return joined
