"""CharacterModel: one character per image."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec, Split
from text_recognizer.decoding.greedy import softmax
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.models.base import Batch, Model, ScoredBatch, cross_entropy, main_output, right_classes
from text_recognizer.models.calibration import Calibration
from text_recognizer.models.metric import Counts, Metric, counts_of
from text_recognizer.models.prediction import Prediction
from text_recognizer.networks.base import Network

ALTERNATIVES = 5
CALIBRATION_IMAGES = 5000  # of the validation split
TOP_K = (3, 5)
# An image has one correct class, so recall at k is the top-k accuracy.
ACCURACY = Metric("accuracy", larger_is_better=True, other_name="precision@1, recall@1")


class CharacterModel(Model):
    """Chooses one class for each image: softmax and cross-entropy over the classes of the dataset.

    Args:
        auxiliary_weight: weight of the loss of a network's second classifier, if it has one.
    """

    target = "character"

    def __init__(self, data_spec: DataSpec, network: Network, auxiliary_weight: Annotated[float, Ge(0)] = 0.4) -> None:
        super().__init__(data_spec, network)
        self.auxiliary_weight = auxiliary_weight

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.data_spec.classes),)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        top = [Metric(f"top_{k}_accuracy", True, shown=False, other_name=f"recall@{k}") for k in self._ranks]
        return (ACCURACY, *top)

    @property
    def metrics_in_training(self) -> tuple[Metric, ...]:
        return (ACCURACY,)

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        return cross_entropy(batch, main_output(outputs), label_smoothing)

    def auxiliary_loss(self, batch: Batch, outputs: Any) -> Any | None:
        if not isinstance(outputs, dict) or not self.auxiliary_weight:
            return None
        return self.auxiliary_weight * cross_entropy(batch, outputs["auxiliary"], 0.0)

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, tuple[Any, Any]]:
        return {"accuracy": right_classes(batch, main_output(outputs))}

    def counts(self, scored: ScoredBatch, readings: Sequence[Prediction] | None = None) -> dict[str, Counts]:  # noqa: ARG002 - by the outputs
        ranks = self._rank_of_label(scored)
        top = {f"top_{k}_accuracy": counts_of(ranks < k) for k in self._ranks}
        return {"accuracy": counts_of(ranks < 1), **top}

    def details(self, scored: ScoredBatch, readings: Sequence[Prediction]) -> list[dict[str, Any]]:  # noqa: ARG002
        return [{"rank_of_label": rank} for rank in self._rank_of_label(scored).tolist()]

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:  # noqa: ARG002 - of lines
        probabilities = softmax(outputs)  # (B, classes)
        most = min(self.alternatives or ALTERNATIVES, probabilities.shape[1])
        best = np.sort(np.argpartition(-probabilities, most - 1, axis=-1)[:, :most], axis=-1)  # (B, most), by class id
        order = np.argsort(-np.take_along_axis(probabilities, best, axis=-1), axis=-1, kind="stable")
        ranked = np.take_along_axis(best, order, axis=-1)
        found = [
            tuple((self.data_spec.classes[label], float(row[label])) for label in order)
            for row, order in zip(probabilities, ranked, strict=True)
        ]
        return [Prediction(*alternatives[0], alternatives) for alternatives in found]

    def calibrate(self, validation: Split) -> None:
        scored = list(self.score(validation, evenly_chosen(len(validation), CALIBRATION_IMAGES)))
        logits = np.concatenate([part.outputs for part in scored]).astype(np.float32)
        self.calibration = Calibration.of_classes(logits, np.concatenate([part.batch["label"] for part in scored]))

    def readings(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:
        temperature = 1.0 if self.calibration is None else self.calibration.temperature
        return self.decoded(outputs / temperature, widths)

    @property
    def _ranks(self) -> list[int]:
        return [k for k in TOP_K if k < len(self.data_spec.classes)]

    def _rank_of_label(self, scored: ScoredBatch) -> NDArray[np.int64]:
        return rank_of_label(scored.batch["label"], softmax(scored.outputs))


def rank_of_label(labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) number of classes ranked before the correct one: 0 if it is the most probable."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    ids = np.arange(probabilities.shape[1])
    ahead = (probabilities > own) | ((probabilities == own) & (ids < labels[:, None]))
    # NaN compares false with everything: it must rank last, never first.
    return np.asarray(np.where(np.isnan(own[:, 0]), probabilities.shape[1], ahead.sum(axis=1)))
