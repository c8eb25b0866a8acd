"""CharacterModel: one character an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.models.base import Batch, Model, Prediction, ScoredBatch
from text_recognizer.models.metric import Counts, Metric, counts_of

ALTERNATIVES = 5
TOP_K = (3, 5)
ACCURACY = Metric("accuracy", larger_is_better=True)


class CharacterModel(Model):
    """Chooses one class for each image: softmax and cross-entropy over the classes of the dataset."""

    target = "character"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.data_spec.classes),)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        top = [Metric(f"top_{k}_accuracy", larger_is_better=True, shown=False) for k in self._ranks]
        return (ACCURACY, *top)

    @property
    def metrics_in_training(self) -> tuple[Metric, ...]:
        return (ACCURACY,)

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) cross-entropy; with smoothing, that share of the target is spread evenly over all classes."""
        import keras

        log_probabilities = keras.ops.log_softmax(keras.ops.cast(outputs, "float32"), axis=-1)  # (B, classes)
        labels = keras.ops.cast(batch["label"], "int32")[:, None]
        loss = -keras.ops.take_along_axis(log_probabilities, labels, axis=-1)[:, 0]
        if label_smoothing:
            loss = (1 - label_smoothing) * loss - label_smoothing * keras.ops.mean(log_probabilities, axis=-1)
        return loss

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, tuple[Any, Any]]:
        import keras

        best = keras.ops.cast(keras.ops.argmax(outputs, axis=-1), "int32")
        right = keras.ops.equal(best, keras.ops.cast(batch["label"], "int32"))
        right = keras.ops.cast(right, "float32")
        return {"accuracy": (keras.ops.sum(right), keras.ops.sum(keras.ops.ones_like(right)))}

    def counts(self, scored: ScoredBatch, readings: Sequence[Prediction] | None = None) -> dict[str, Counts]:  # noqa: ARG002 - by the outputs
        ranks = self._rank_of_label(scored)
        top = {f"top_{k}_accuracy": counts_of(ranks < k) for k in self._ranks}
        return {"accuracy": counts_of(ranks < 1), **top}

    def details(self, scored: ScoredBatch, readings: Sequence[Prediction]) -> list[dict[str, Any]]:  # noqa: ARG002
        return [{"rank_of_label": rank} for rank in self._rank_of_label(scored).tolist()]

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:  # noqa: ARG002 - of lines
        probabilities = self.probabilities(outputs)
        ranked = np.argsort(-probabilities, axis=-1, kind="stable")[:, : self.alternatives or ALTERNATIVES]
        return [
            Prediction(
                text=self.data_spec.classes[order[0]],
                confidence=float(row[order[0]]),
                alternatives=tuple((self.data_spec.classes[label], float(row[label])) for label in order),
            )
            for row, order in zip(probabilities, ranked, strict=True)
        ]

    @property
    def _ranks(self) -> list[int]:
        return [k for k in TOP_K if k < len(self.data_spec.classes)]

    def _rank_of_label(self, scored: ScoredBatch) -> NDArray[np.int64]:
        return rank_of_label(scored.batch["label"], self.probabilities(scored.outputs))

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float32]:
        """(B, classes) softmax of the outputs."""
        shifted = outputs.astype(np.float32) - outputs.max(axis=-1, keepdims=True)
        exponentials = np.exp(shifted)
        return exponentials / exponentials.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def rank_of_label(labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) how many classes rank before the right one: 0 when it is the most probable."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    ids = np.arange(probabilities.shape[1])
    ahead = (probabilities > own) | ((probabilities == own) & (ids < labels[:, None]))
    # A NaN compares false with everything: it must rank last, never first.
    ranks: NDArray[np.int64] = np.where(np.isnan(own[:, 0]), probabilities.shape[1], ahead.sum(axis=1))
    return ranks
