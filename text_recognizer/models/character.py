"""CharacterModel: one character an image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.models.base import Batch, Model, Prediction

ALTERNATIVES = 5
TOP_K = (3, 5)


class CharacterModel(Model):
    """Chooses one class for each image: softmax and cross-entropy over the classes of the dataset."""

    target = "character"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.data_spec.classes),)

    @property
    def metrics(self) -> tuple[str, ...]:
        ranks = [k for k in TOP_K if k < len(self.data_spec.classes)]
        return ("loss", "accuracy", *(f"top_{k}_accuracy" for k in ranks))

    @property
    def metrics_in_training(self) -> tuple[str, ...]:
        return ("accuracy",)

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) cross-entropy; with smoothing, that share of the target is spread evenly over all classes."""
        import keras

        log_probabilities = keras.ops.log_softmax(keras.ops.cast(outputs, "float32"), axis=-1)  # (B, classes)
        labels = keras.ops.cast(batch["label"], "int32")[:, None]
        loss = -keras.ops.take_along_axis(log_probabilities, labels, axis=-1)[:, 0]
        if label_smoothing:
            loss = (1 - label_smoothing) * loss - label_smoothing * keras.ops.mean(log_probabilities, axis=-1)
        return loss

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, Any]:
        import keras

        best = keras.ops.cast(keras.ops.argmax(outputs, axis=-1), "int32")
        right = keras.ops.equal(best, keras.ops.cast(batch["label"], "int32"))
        return {"accuracy": keras.ops.cast(right, "float32")}

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:  # noqa: ARG002 - of lines
        probabilities = self.probabilities(outputs)
        ranked = np.argsort(-probabilities, axis=-1, kind="stable")[:, :ALTERNATIVES]
        return [
            Prediction(
                text=self.data_spec.classes[order[0]],
                confidence=float(row[order[0]]),
                alternatives=tuple((self.data_spec.classes[label], float(row[label])) for label in order),
            )
            for row, order in zip(probabilities, ranked, strict=True)
        ]

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float32]:
        """(B, classes) softmax of the outputs."""
        shifted = outputs.astype(np.float32) - outputs.max(axis=-1, keepdims=True)
        exponentials = np.exp(shifted)
        return exponentials / exponentials.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]
