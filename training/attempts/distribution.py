"""Training on several devices, of one or several hosts: each processes a share of every batch."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from text_recognizer.errors import RunError, SpecError
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import counted
from training.attempts.peers import Peers

_GENERATOR = "global_seed_generator"  # of random operations without a generator

Sums = dict[str, Any]
Step = Callable[[dict[str, Any], "Share"], Sums]


class Share:
    """The share of a batch for a single device: all of it."""

    def mean(self, values: Any) -> Any:
        """This share's contribution to the mean of values (b,) over the whole batch."""
        import keras

        return keras.ops.mean(values)

    def once(self, value: Any) -> Any:
        """This share's contribution to a value that does not depend on the batch."""
        return value

    def counted(self, value: Any) -> Any:
        """A sum over the samples of this share."""
        return value

    def summed(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """Gradients of the whole batch, from those of this share."""
        return gradients


class OneDevice:
    """A step on one device."""

    devices = 1

    def chiefs(self, value: Any) -> Any:
        """The chief's value (plain JSON)."""
        return value

    def share_state(self, variables: Sequence[Any]) -> None:
        """Copies the chief's values of Keras variables to all processes."""

    def scope(self) -> AbstractContextManager[Any]:
        """The scope in which variables are created."""
        return nullcontext()

    def adapt(self, network: Any, optimizer: Any) -> None:
        """Adapts layers and optimizer to compute over whole batches."""

    def run(self, step: Step, batch: dict[str, Any]) -> Sums:
        """The sums of a step over the whole batch; part of the graph."""
        return step(batch, Share())


class Mirrored(OneDevice):
    """A step on all devices of this process, with tf.distribute.MirroredStrategy.

    Equal to one device up to rounding: losses are weighted by the size of the shares, batch normalisation computes over
    all of them, and augmentation and dropout are drawn for the whole batch before it is divided.
    """

    def __init__(self) -> None:
        self._strategy = self._make_strategy()
        self.devices = self._strategy.num_replicas_in_sync

    def _make_strategy(self) -> Any:
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])

    def scope(self) -> AbstractContextManager[Any]:
        return self._strategy.scope()  # type: ignore[no-any-return]

    def adapt(self, network: Any, optimizer: Any) -> None:
        import keras
        from keras.src.random.seed_generator import global_seed_generator

        global_seed_generator()  # created here, with one state for all devices
        for layer in network._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
        # Gradients are summed before they are clipped, not afterwards as Keras does.
        getattr(optimizer, "inner_optimizer", optimizer)._all_reduce_sum_gradients = lambda pairs: pairs

    def run(self, step: Step, batch: dict[str, Any]) -> Sums:
        import tensorflow as tf
        from keras.src.backend.common import global_state

        size = tf.shape(next(iter(batch.values())))[0]
        generator = global_state.get_global_attribute(_GENERATOR)

        def on_device(batch: dict[str, Any]) -> Sums:
            global_state.set_global_attribute(_GENERATOR, generator)  # Keras has one per thread
            share = _PartOfBatch(size, self.devices)
            return step({name: column[share.begin : share.end] for name, column in batch.items()}, share)

        with _layers_of_whole_batches(size, self.devices):
            sums = self._strategy.run(on_device, args=(batch,))
        return {name: self._strategy.reduce("SUM", value, axis=None) for name, value in sums.items()}


class MultiWorker(Mirrored):
    """A step on all devices of several processes, with tf.distribute.MultiWorkerMirroredStrategy."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        super().__init__()

    def _make_strategy(self) -> Any:
        import tensorflow as tf
        from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
        from tensorflow.python.eager import context

        # Our own connections detect dead processes. TensorFlow's service for that waits forever for missing processes,
        # and handles SIGTERM.
        context.context().configure_coordination_service("")
        CollectiveAllReduceExtended._enable_check_health = False
        cluster = self._peers.cluster
        return tf.distribute.MultiWorkerMirroredStrategy(
            tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec({"worker": cluster.addresses}),
                task_type="worker",
                task_id=cluster.rank,
                rpc_layer="grpc",
            )
        )

    def chiefs(self, value: Any) -> Any:
        if not self._peers.is_chief:
            return self._peers.hear("value")
        self._peers.tell(value=value)
        return value

    def share_state(self, variables: Sequence[Any]) -> None:
        import keras
        import tensorflow as tf

        values = [keras.ops.convert_to_numpy(variable) for variable in variables]
        flat = np.concatenate([value.ravel().astype(np.float64) for value in values])  # represents all of them exactly

        def of_chief(mine: Any) -> Any:
            here = tf.distribute.get_replica_context()
            counts = tf.equal(here.replica_id_in_sync_group, 0)
            return here.all_reduce("SUM", tf.where(counts, mine, tf.zeros_like(mine)))

        run = tf.function(lambda mine: self._strategy.run(of_chief, args=(mine,)), autograph=False)
        results = self._strategy.experimental_local_results(run(tf.constant(flat)))
        parts = np.split(results[0].numpy(), np.cumsum([value.size for value in values])[:-1])
        for variable, value, part in zip(variables, values, parts, strict=True):
            variable.assign(part.reshape(value.shape).astype(value.dtype))


class _PartOfBatch(Share):
    """The share of the device that is being traced.

    Args:
        size: size of the batch; a tensor.
        devices: number of devices. If there are more than samples, some repeat a sample with weight 0.
    """

    def __init__(self, size: Any, devices: int) -> None:
        import tensorflow as tf

        self._context = tf.distribute.get_replica_context()
        self._size, self._devices = size, devices
        rank = tf.cast(self._context.replica_id_in_sync_group, tf.int32)
        begin, end = rank * size // devices, (rank + 1) * size // devices
        self.counts = tf.cast(end > begin, tf.float32)  # 0.0 or 1.0
        self.begin = tf.minimum(begin, size - 1)
        self.end = tf.maximum(end, self.begin + 1)

    def mean(self, values: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_sum(values) * tf.cast(self.counts, values.dtype) / tf.cast(self._size, values.dtype)

    def once(self, value: Any) -> Any:
        return value / self._devices

    def counted(self, value: Any) -> Any:
        import tensorflow as tf

        return tf.cast(value, tf.float32) * self.counts

    def summed(self, gradients: Sequence[Any]) -> Sequence[Any]:
        import tensorflow as tf

        there = [gradient for gradient in gradients if gradient is not None]
        summed = iter(self._context.all_reduce(tf.distribute.ReduceOp.SUM, there))
        return [None if gradient is None else next(summed) for gradient in gradients]


def chosen(args: TrainArgs, peers: Peers | None = None) -> OneDevice:
    """The distribution of a training: from its spec, otherwise over the GPUs of this process.

    Args:
        peers: the processes that share the training, for "multi_worker".
    Raises:
        RunError: TensorFlow cannot use a leased GPU.
        SpecError: the step is to be compiled with XLA and shared by several devices.
    """
    check_leased_gpus()
    distribution = args.distribution
    if distribution is None:
        import tensorflow as tf

        distribution = "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "one_device"
    if distribution != "one_device" and args.jit_compile:
        raise SpecError("train_args.jit_compile compiles for one device. Set it to false, or lease one GPU: --gpu=-1.")
    if distribution == "multi_worker":
        if peers is None:
            raise SpecError("train_args.distribution 'multi_worker' is for run_experiment, not for sweeps.")
        return MultiWorker(peers)
    return Mirrored() if distribution == "mirrored" else OneDevice()


def check_leased_gpus() -> None:
    """A run on the CPU must not hold a GPU. Raises RunError: TensorFlow cannot use the leased GPU."""
    import tensorflow as tf

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    leased = [name for name in visible if name.startswith(("GPU-", "MIG-"))]
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen < len(leased):
        why = "" if tf.test.is_built_with_cuda() else " The one installed here is for CPUs: pip install '.[gpu]'."
        raise RunError(
            f"{counted(len(leased), 'GPU')} leased, but TensorFlow can use {seen or 'none'}.{why} "
            f"To train without a GPU, use --gpu=none."
        )


@contextmanager
def _layers_of_whole_batches(size: Any, devices: int) -> Iterator[None]:
    """While a step is traced, dropout draws masks for the whole batch and uses its share, as on one device.

    Batch normalisation ignores samples with weight 0.
    """
    import tensorflow as tf
    from keras.src.backend import random
    from keras.src.backend.tensorflow import nn

    drop, moments = random.dropout, nn._compute_moments_sync

    def drop_share(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
        share = _PartOfBatch(size, devices)
        rows_each = tf.shape(inputs)[0] // (share.end - share.begin)  # a layer may have folded time into the batch
        whole = tf.concat([[size * rows_each], tf.shape(inputs)[1:]], 0)
        mask = drop(tf.ones(whole, inputs.dtype), rate, noise_shape, seed)
        dropped = inputs * mask[share.begin * rows_each : share.end * rows_each]
        dropped.set_shape(inputs.shape)
        return dropped

    def moments_of_all(inputs: Any, axes: Any, keepdims: bool) -> Any:
        share = _PartOfBatch(size, devices)
        parts = [tf.reduce_sum(part, axes, keepdims) for part in (tf.ones_like(inputs), inputs, tf.square(inputs))]
        count, total, squares = tf.unstack(share.summed([tf.stack(parts) * tf.cast(share.counts, inputs.dtype)])[0])
        mean = total / count
        return mean, tf.maximum(squares / count - tf.square(mean), 0.0)

    random.dropout, nn._compute_moments_sync = drop_share, moments_of_all
    try:
        yield
    finally:
        random.dropout, nn._compute_moments_sync = drop, moments
