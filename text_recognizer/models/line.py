"""LineModel: reads a line at a fixed number of positions."""

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.decoding.greedy import log_softmax
from text_recognizer.errors import SpecError
from text_recognizer.models.base import Batch, cross_entropy, right_classes
from text_recognizer.models.line_base import ReadsLines
from text_recognizer.models.metric import Metric
from text_recognizer.models.prediction import Prediction, ReadPart
from text_recognizer.networks.base import FrameNetwork, Network


class LineModel(ReadsLines):
    """Chooses a class for each position of a line: softmax and cross-entropy. After its text, a line has the class 0.

    Raises:
        SpecError: the dataset's lines differ in width or have no maximum length; or the network reads frames.
    """

    def __init__(self, data_spec: DataSpec, network: Network) -> None:
        super().__init__(data_spec, network)
        if data_spec.input_shape[1] is None or data_spec.max_length is None:
            raise SpecError(
                "needs lines of one width and a greatest length, as EmnistLinesDataset has them. "
                "For others choose LineModelCtc."
            )
        if isinstance(network, FrameNetwork):
            raise SpecError(
                f"reads a fixed number of positions, but the network {type(network).__name__} reads frame by frame. "
                f"Choose LineModelCtc, or a network like line_cnn_all_conv."
            )
        self.length = data_spec.max_length

    @property
    def output_shape(self) -> tuple[Any, ...]:
        return self.length, len(self.data_spec.classes)

    @property
    def metrics_in_training(self) -> tuple[Metric, ...]:
        return (Metric("position_accuracy", larger_is_better=True),)

    def arranged(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        label = batch["label"]
        padded = np.zeros((len(label), self.length), label.dtype)
        padded[:, : label.shape[1]] = label
        return {**super().arranged(batch), "label": padded}

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) cross-entropy, mean over all positions."""
        import keras

        return keras.ops.mean(cross_entropy(batch, outputs, label_smoothing), axis=-1)

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, tuple[Any, Any]]:
        return {"position_accuracy": right_classes(batch, outputs)}

    def texts(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]]) -> list[str]:  # noqa: ARG002 - one width
        return [self._text(row) for row in np.argmax(outputs, axis=-1).tolist()]

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:  # noqa: ARG002 - one width
        """Readings; the confidence of a text is the product over its positions."""
        log_probabilities = log_softmax(outputs)  # (B, L, classes)
        best = np.argmax(log_probabilities, axis=-1)  # (B, L)
        values = np.take_along_axis(log_probabilities, best[..., None], axis=-1)[..., 0]
        edges = np.rint(np.linspace(0, self.data_spec.input_shape[1], self.length + 1)).astype(int).tolist()
        readings = []
        columns = best.tolist(), np.exp(values).tolist(), values.sum(axis=1), log_probabilities
        for row, confidences, total, logs in zip(*columns, strict=True):
            characters = tuple(
                ReadPart(self.data_spec.classes[one], confidences[place], edges[place], edges[place + 1])
                for place, one in enumerate(row)
                if one
            )
            text, confidence = self._text(row), float(np.exp(total))
            others = ((text, confidence),) if self.alternatives is None else self._likeliest(logs)
            readings.append(Prediction(text, confidence, others, characters))
        return readings

    def _likeliest(self, log_probabilities: NDArray[np.float32]) -> tuple[tuple[str, float], ...]:
        """The most probable texts of a line (L, classes), as many as requested."""
        count = self.alternatives or 1
        labels: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        for position in log_probabilities:
            longer = (
                ((*label, int(one)), value + float(position[one]))
                for label, value in labels
                for one in np.argsort(-position)[:count]
            )
            labels = heapq.nlargest(count, longer, key=lambda found: found[1])
        by_text: dict[str, float] = {}  # class 0 is no character, at any position
        for label, value in labels:
            by_text[self._text(label)] = by_text.get(self._text(label), 0.0) + float(np.exp(value))
        return tuple(sorted(by_text.items(), key=lambda one: -one[1]))
