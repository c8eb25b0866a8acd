"""TrainStep: the compiled training step, which accumulates loss and metrics."""

import math
from dataclasses import InitVar, dataclass
from typing import Any

from numpy.typing import NDArray

from text_recognizer.augmentation.recipes import augmented
from text_recognizer.models.base import Model, check_counted
from text_recognizer.train_args import TrainArgs
from training.attempts.distribution import OneDevice, Share
from training.attempts.weight_averages import WeightAverages


@dataclass(eq=False)
class TrainStep:
    """A function of columns (steps, B, …) that trains on one batch after another.

    Args:
        network, optimizer, augmentation: built Keras objects.
        devices: devices that share every batch.
        example: a batch of the training split, for its columns and their types.
    """

    model: Model
    network: Any
    optimizer: Any
    augmentation: Any
    args: TrainArgs
    devices: OneDevice
    example: InitVar[dict[str, NDArray[Any]]]

    def __post_init__(self, example: dict[str, NDArray[Any]]) -> None:
        import keras

        self.measured = [metric.name for metric in self.model.metrics_in_training]
        self.sums: dict[str, Any] = {
            name: keras.Variable(0.0, dtype="float32", trainable=False, name=f"sum_{name}")
            for name in ["loss", *self.measured, "samples", *map(_whole, self.measured)]
        }
        self.averages = WeightAverages(self.network.trainable_variables, self.args.average_decay)
        self._compiled = self._compile(example)

    def __call__(self, columns: dict[str, NDArray[Any]]) -> None:
        self._compiled(columns)

    def begin_epoch(self) -> None:
        for total in self.sums.values():
            total.assign(0.0)

    @property
    def samples(self) -> float:
        """Number of samples trained on in this epoch."""
        return float(self.sums["samples"].numpy())

    def means(self) -> dict[str, float]:
        """Loss and metrics of this epoch so far."""
        return {"loss": self.mean_loss(), **{name: self._mean(name, _whole(name)) for name in self.measured}}

    def mean_loss(self) -> float:
        return self._mean("loss", "samples")

    def _mean(self, part: str, whole: str) -> float:
        divisor = float(self.sums[whole].numpy())
        return float(self.sums[part].numpy()) / divisor if divisor else math.nan

    def _compile(self, example: dict[str, NDArray[Any]]) -> Any:
        import tensorflow as tf

        self.devices.adapt(self.network, self.optimizer)
        one_step = self._train
        if self.args.jit_compile:
            one_step = tf.function(one_step, jit_compile=True, autograph=False)

        def train_steps(columns: dict[str, Any]) -> None:
            steps = tf.shape(next(iter(columns.values())))[0]

            def body(index: Any) -> Any:
                batch = {name: column[index] for name, column in columns.items()}  # (steps, B, …) -> (B, …)
                one_step(batch if self.augmentation is None else augmented(batch, self.augmentation))
                return index + 1

            tf.while_loop(lambda index: index < steps, body, [tf.constant(0)], parallel_iterations=1)

        shapes = self.model.column_shapes(example)
        signature = {name: tf.TensorSpec((None, None, *shapes[name]), column.dtype) for name, column in example.items()}
        return tf.function(train_steps, input_signature=[signature], autograph=False)

    def _train(self, batch: dict[str, Any]) -> None:
        sums = self.devices.run(self._train_on_share, batch)
        self.averages.update()
        for name, value in sums.items():
            self.sums[name].assign_add(value)

    def _train_on_share(self, batch: dict[str, Any], share: Share) -> dict[str, Any]:
        """Applies the gradients of the whole batch; returns the sums over this device's share of it."""
        import keras
        import tensorflow as tf

        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self.network(batch["image"], training=True)
            losses = self.model.loss(batch, outputs, self.args.label_smoothing)  # (B,)
            auxiliary = self.model.auxiliary_loss(batch, outputs)
            loss = share.mean(losses) + share.once(sum(self.network.losses))
            if auxiliary is not None:
                loss += share.mean(auxiliary)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(share.summed(tape.gradient(scaled, variables)), variables)
        sums = {"loss": keras.ops.sum(losses), "samples": keras.ops.cast(keras.ops.shape(losses)[0], "float32")}
        counted = self.model.train_metrics(batch, outputs)
        check_counted(self.model, "train_metrics", counted, self.measured)
        for name, (part, whole) in counted.items():
            sums |= {name: keras.ops.cast(part, "float32"), _whole(name): keras.ops.cast(whole, "float32")}
        return {name: share.counted(value) for name, value in sums.items()}


def _whole(name: str) -> str:
    return f"whole_{name}"
