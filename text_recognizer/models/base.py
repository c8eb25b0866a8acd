"""Model: a network with the meaning of its outputs, loss and metrics."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec, Split
from text_recognizer.errors import SpecError
from text_recognizer.keras_import import check_not_forked
from text_recognizer.models.calibration import Calibration
from text_recognizer.models.metric import LOSS, Counts, Metric
from text_recognizer.models.prediction import Prediction
from text_recognizer.networks.base import Network
from text_recognizer.wording import received

if TYPE_CHECKING:
    import keras

Batch = dict[str, Any]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Keras has them in its messages


@dataclass(frozen=True)
class ScoredBatch:
    """A batch of a split after a forward pass without dropout.

    Args:
        split: the split of the samples.
        positions: (B,) positions of the samples in the split.
        batch: columns of the split, "image" included.
        outputs: (B, …) outputs of the network.
        losses: (B,) loss of each sample, without label smoothing.
    """

    split: Split
    positions: NDArray[np.integer[Any]]
    batch: dict[str, NDArray[Any]]
    outputs: NDArray[Any]
    losses: NDArray[np.float32]


class Model(ABC):
    """A network with loss, decoding and prediction. Further constructor arguments are the spec's `model_args`.

    Args:
        data_spec: form of the images, and classes.
        network: maps images to outputs of `output_shape`.
    Raises:
        SpecError: the model does not fit the dataset's target.
    """

    target: ClassVar[str]  # what an image must show, as in DataSpec.target
    unit: ClassVar[str] = "image"  # what a sample is called
    untrainable: ClassVar[str] = "nothing to learn"  # the problem of samples that `trainable` leaves out
    has_decoder: ClassVar[bool] = False  # its `decoder` is a LineDecoder that can be exchanged, as in LineModelCtc
    score_batch_size: int = 512  # maximum batch size when a split is scored
    xla_refuses: ClassVar[str | None] = None  # part of the training step without an XLA kernel
    runtime: Callable[[NDArray[np.uint8]], NDArray[Any]] | None = None  # computes `outputs` instead of Keras
    alternatives: int | None = None  # number of readings that `decode` lists per image; None: the model decides
    calibration: Calibration | None = None  # of the confidences of `readings`; None until training is finished

    def __init__(self, data_spec: DataSpec, network: Network) -> None:
        if data_spec.target != self.target:
            raise SpecError(f"reads images of a {self.target}, but the dataset's show a {data_spec.target}.")
        self.data_spec = data_spec
        self.network = network
        self._functions: dict[str, Any] = {}

    @property
    @abstractmethod
    def output_shape(self) -> tuple[Any, ...]:
        """Shape of the network's output without the batch axis; None for axes that depend on an image's width."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of an evaluation besides the loss; the first one is the headline metric."""
        return ()

    @property
    def metrics_in_training(self) -> tuple[Metric, ...]:
        """The metrics measured during training, besides the loss."""
        return ()

    @cached_property
    def reported(self) -> dict[str, Metric]:
        """The metrics reported each epoch, by key in metrics.jsonl, in display order."""
        in_training = {metric.name: metric for metric in (LOSS, *self.metrics_in_training)}
        return in_training | {f"val_{metric.name}": metric for metric in (LOSS, *self.metrics)}

    @abstractmethod
    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) loss of each sample, in keras.ops."""

    def train_metrics(self, batch: Batch, outputs: Any) -> dict[str, tuple[Any, Any]]:  # noqa: ARG002 - see metrics_in_training
        """(part, whole) of each of `metrics_in_training` for a whole batch, in keras.ops."""
        return {}

    def counts(self, scored: ScoredBatch, readings: Sequence[Prediction] | None = None) -> dict[str, Counts]:  # noqa: ARG002 - see metrics
        """(part, whole) of each of `metrics` for each sample of a batch: (B,) and (B,).

        Args:
            readings: result of `decode` for the outputs, if known; a model may have a faster way.
        """
        return {}

    def details(self, scored: ScoredBatch, readings: Sequence[Prediction]) -> list[dict[str, Any]]:  # noqa: ARG002
        """(B,) further fields of predictions.jsonl, besides label, reading, confidence and loss; plain JSON.

        A standard key ("label") replaces its value.
        """
        return [{} for _ in readings]

    @abstractmethod
    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:
        """Converts outputs (B, …) to readings. Called before training too, with one sample, and so before `finish`.

        Args:
            widths: (B,) widths of lines in pixels without padding; by default the whole width.
        """

    def auxiliary_loss(self, batch: Batch, outputs: Any) -> Any | None:  # noqa: ARG002 - most have none
        """(B,) an additional term of the training loss that is not reported; None for none."""
        return None

    def arranged(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A batch of a split in the form that the network receives."""
        return batch

    def column_shapes(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int | None, ...]]:
        """The shape of every column without the batch axis, given one batch; None for axes that vary."""
        return {name: column.shape[1:] for name, column in batch.items()}

    def trainable(self, split: Split) -> NDArray[np.bool_]:
        """(n,) whether each sample of a split can be trained on."""
        return np.ones(len(split), bool)

    def untrainable_remedy(self, split: Split, left_out: NDArray[np.integer[Any]]) -> str:  # noqa: ARG002
        """Advice for the samples at these positions, which `trainable` leaves out."""
        return ""

    def data_warnings(self, train: Split, validation: Split) -> list[str]:  # noqa: ARG002 - most have none
        """One sentence for each property of the data that makes learning hard."""
        return []

    def check_texts(self) -> None:  # noqa: B027 - most need none
        """Checks before training that the files read by `finish` exist. Raises DataError: one is missing."""

    def finish(self, train: Split, validation: Split) -> None:  # noqa: B027 - most need nothing
        """Called once the weights are selected: fits what is not in the weights, such as a language model."""

    def calibrate(self, validation: Split) -> None:  # noqa: B027 - some models have no confidences
        """Called after `finish`: fits the calibration of confidences."""

    def readings(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:
        """Outputs decoded by `decode`, with calibrated confidences."""
        return self.decoded(outputs, widths)

    def decoded(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None) -> list[Prediction]:
        """What `decode` returns. Raises SpecError: it is not one Prediction for each sample."""
        found = self.decode(outputs, widths)
        are_predictions = isinstance(found, list | tuple) and all(isinstance(one, Prediction) for one in found)
        if not are_predictions or len(found) != len(outputs):
            wanted = f"a list of Predictions, one for each sample, here {len(outputs)}"
            raise wrong_result(self, "decode", wanted, received(found))
        return found

    def detailed(self, scored: ScoredBatch, readings: Sequence[Prediction]) -> list[dict[str, Any]]:
        """What `details` returns. Raises SpecError: it is not one dict of JSON values for each sample."""
        found: Any = self.details(scored, readings)
        with suppress(TypeError, ValueError):  # the first one has the types of all
            are_dicts = isinstance(found, list | tuple) and all(isinstance(one, dict) for one in found)
            if are_dicts and len(found) == len(readings) and json.dumps(found[:1]):
                return list(found)
        wanted = f"a list of dicts of JSON values, one for each sample, here {len(readings)}"
        raise wrong_result(self, "details", wanted, received(found))

    def can_be_learnt(self, split: Split) -> NDArray[np.bool_]:
        """What `trainable` returns. Raises SpecError: it is not a bool for each sample."""
        found = np.asarray(self.trainable(split))
        if found.dtype != np.bool_ or found.shape != (len(split),):
            came = f"Received: {found.dtype} {found.shape}." if found.ndim else received(found.item())
            wanted = f"an array bool ({len(split)},), whether each sample can be trained on"
            raise wrong_result(self, "trainable", wanted, came)
        return found

    def write_files(self, folder: Path) -> None:  # noqa: B027 - most have none
        """Writes the model's further files into a bundle's folder."""

    def read_files(self, folder: Path) -> None:  # noqa: B027 - most have none
        """The inverse of `write_files`. Raises DataError: a file is missing or damaged."""

    @cached_property
    def keras_model(self) -> "keras.Model":
        """The whole graph, from uint8 images (B, H, W, C) to outputs; built with fresh weights on first access.

        Raises:
            SpecError: the network cannot be built for these shapes, or returns something else.
        """
        import keras

        shape = self.data_spec.input_shape
        label = f"network '{type(self.network).__name__}'"
        image = keras.Input(shape, dtype="uint8", name="image")
        try:
            network = self.network.build(shape, self.output_shape)
            if not callable(network):
                raise SpecError(
                    f"{label}: build must return a Keras model. Received: {network!r}. Is a return missing?"
                )
            outputs = network(keras.layers.Rescaling(1 / 255)(image))
        except (ValueError, TypeError, IndexError) as error:
            raise SpecError(
                f"{label} cannot be built for images of {shape} and outputs of {self.output_shape}: "
                + _COLOURS.sub("", str(error))
            ) from error
        try:
            found = tuple(main_output(outputs).shape[1:])
        except (AttributeError, KeyError) as error:
            raise SpecError(
                f"{label} must return one tensor, or a dict of tensors with 'logits'. Received: {outputs!r}."
            ) from error
        sizes = zip(found, self.output_shape, strict=False)
        if len(found) != len(self.output_shape) or any(None not in pair and pair[0] != pair[1] for pair in sizes):
            raise SpecError(f"{label} returns outputs of {found}, expected {self.output_shape}.")
        return keras.Model(image, outputs, name=type(self.network).__name__.lower())

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """Readings of images (B, H, W, C) in the dataset's form."""
        return self.readings(self.outputs(images))

    def score(self, split: Split, chosen: NDArray[np.integer[Any]] | None = None) -> Iterator[ScoredBatch]:
        """Scores a whole split, or chosen positions of it, batch by batch."""
        for positions in self.score_order(split, np.arange(len(split)) if chosen is None else chosen):
            batch = self.arranged(split.batch(positions))
            outputs, losses = self._compiled(self._outputs_and_loss, batch)
            yield ScoredBatch(split, positions, batch, np.asarray(outputs), np.asarray(losses))

    def seen_by(self, network: Callable[[NDArray[np.uint8]], NDArray[Any]], images: NDArray[np.uint8]) -> NDArray[Any]:
        """(B, …) the outputs that `score` has for images, computed by another form of the network."""
        return network(images)

    def score_order(
        self,
        split: Split,  # noqa: ARG002 - used if samples differ in size
        positions: NDArray[np.integer[Any]],
    ) -> Iterator[NDArray[np.integer[Any]]]:
        """The positions of a split in the batches in which they are scored."""
        for start in range(0, len(positions), self.score_batch_size):
            yield positions[start : start + self.score_batch_size]

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """(B, …) outputs of the network for images (B, H, W, C) in the dataset's form."""
        if self.runtime is not None:
            return self.runtime(images)
        check_not_forked()
        return np.asarray(self._compiled(self._outputs, {"image": images}))

    def _outputs(self, batch: Batch) -> Any:
        return main_output(self.keras_model(batch["image"], training=False))

    def _outputs_and_loss(self, batch: Batch) -> tuple[Any, Any]:
        outputs = self._outputs(batch)
        losses = self.loss(batch, outputs)
        shape: Any = getattr(losses, "shape", ())
        rank = shape.rank if hasattr(shape, "rank") else len(shape)
        if rank not in (1, None):  # None: not known yet
            came = f"Received: {type(losses).__name__} of shape {tuple(shape)}."
            raise wrong_result(self, "loss", "the loss of each sample, of shape (B,), in keras.ops", came)
        return outputs, losses

    def _compiled(self, function: Callable[[Batch], Any], batch: Batch) -> Any:
        """Calls a function of a batch, compiled once for batches of any size.

        Keras' own predict() takes 100 to 300 ms per call for any batch.
        """
        import keras

        if keras.backend.backend() != "tensorflow":
            return function(batch)
        import tensorflow as tf

        if function.__name__ not in self._functions:
            shapes = self.column_shapes(batch)
            signature = {name: tf.TensorSpec((None, *shapes[name]), values.dtype) for name, values in batch.items()}
            self._functions[function.__name__] = tf.function(function, input_signature=[signature], autograph=False)
        return self._functions[function.__name__](batch)


def check_counts(model: Model, counts: Mapping[str, Counts], samples: int) -> None:
    """Raises a SpecError unless `counts` has numbers for each sample of every metric that the model declares."""
    check_counted(model, "counts", counts, [metric.name for metric in model.metrics])
    for name, counted in counts.items():
        is_pair = isinstance(counted, (tuple, list)) or np.ndim(counted) == 2  # or both in one array
        columns = [np.asarray(column) for column in (counted if is_pair else [counted])]
        if [column.shape for column in columns] != 2 * [(samples,)] or any(c.dtype.kind not in "biuf" for c in columns):
            came = ", ".join(f"{column.dtype} {column.shape}" for column in columns)
            wanted = f"(part, whole) of '{name}': two arrays with a number for each of {samples} samples"
            raise wrong_result(model, "counts", wanted, f"Received: {came}.")


def check_counted(model: Model, method: str, counted: object, declared: Sequence[str]) -> None:
    """Raises a SpecError unless a model counts exactly the metrics that it declares."""
    if not isinstance(counted, Mapping) or set(counted) != set(declared):
        came = ", ".join(counted) or "none" if isinstance(counted, Mapping) else repr(counted)
        wanted = f"the metrics that the model declares: {', '.join(declared) or 'none'}"
        raise wrong_result(model, method, wanted, f"Received: {came}.")


def wrong_result(model: Model, method: str, wanted: str, came: str) -> SpecError:
    """The error for a model with a method that returns something else than its contract says."""
    return SpecError(f"model '{type(model).__name__}': {method}() must return {wanted}. {came}")


def main_output(outputs: Any) -> Any:
    """The output used for predictions; auxiliary outputs only help training."""
    return outputs["logits"] if isinstance(outputs, dict) else outputs


def cross_entropy(batch: Batch, outputs: Any, label_smoothing: float) -> Any:
    """(B, …) cross-entropy of logits (B, …, classes); smoothing spreads that share of the target over all classes."""
    import keras

    log_probabilities = keras.ops.log_softmax(keras.ops.cast(outputs, "float32"), axis=-1)
    labels = keras.ops.cast(batch["label"], "int32")
    # Twice as fast as take_along_axis, and bitwise the same.
    loss = -keras.ops.sum(log_probabilities * keras.ops.one_hot(labels, outputs.shape[-1], dtype="float32"), axis=-1)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * keras.ops.mean(log_probabilities, axis=-1)
    return loss


def right_classes(batch: Batch, outputs: Any) -> tuple[Any, Any]:
    """(part, whole) of a batch: the share of correct classes of each sample, out of one for each sample."""
    import keras

    best = keras.ops.cast(keras.ops.argmax(outputs, axis=-1), "int32")
    right = keras.ops.cast(keras.ops.equal(best, keras.ops.cast(batch["label"], "int32")), "float32")  # (B, …)
    inner = tuple(range(1, len(right.shape)))
    shares = keras.ops.mean(right, axis=inner) if inner else right
    return keras.ops.sum(shares), keras.ops.sum(keras.ops.ones_like(shares))
