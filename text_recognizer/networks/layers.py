"""Layers missing in Keras, and faster versions of some of its layers for training on a CPU. Imports Keras."""

from typing import Any

import keras

_VECTOR = 4  # channels must be a multiple, otherwise TensorFlow's batch normalisation is no faster than Keras


class SlidingWindows(keras.layers.Layer):  # type: ignore[misc]
    """(B, H, W, C) to (B, windows, H, width, C): overlapping windows of a line, from left to right."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.width = width
        self.stride = stride

    def call(self, images: Any) -> Any:
        count = (keras.ops.shape(images)[2] - self.width) // self.stride + 1
        columns = keras.ops.arange(count)[:, None] * self.stride + keras.ops.arange(self.width)[None, :]
        windows = keras.ops.take(images, columns, axis=2)  # (B, H, windows, width, C)
        return keras.ops.transpose(windows, (0, 2, 1, 3, 4))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, height, width, channels = input_shape
        count = None if width is None else (width - self.width) // self.stride + 1
        return batch, count, height, self.width, channels


class AsSequences(keras.layers.Layer):  # type: ignore[misc]
    """Features (B N, F) of windows (B, N, …) to (B, N, F): for layers that see one window at a time."""

    def call(self, features: Any, windows: Any) -> Any:
        return keras.ops.reshape(features, (-1, keras.ops.shape(windows)[1], features.shape[-1]))

    def compute_output_shape(self, features_shape: tuple[Any, ...], windows_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return windows_shape[0], windows_shape[1], features_shape[-1]


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Faster batch normalisation of images (B, H, W, C); other inputs use Keras' own.

    Weights, and results outside of training, are those of Keras' own layer. Keras computes moments, scaled values and
    their gradients in separate operations, each of which reads and writes the whole batch; TensorFlow has one fused
    kernel for each direction, which takes about a third of the time. The numbers are the same up to the last bits of
    float32.
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        is_plain = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None and self.compute_dtype == "float32"
        counts_alone = self.trainable and not self.renorm and not self.synchronized
        if training is not True or not is_plain or not counts_alone or inputs.shape[-1] % _VECTOR:
            return super().call(inputs, training=training, mask=mask)
        if not is_on_tensorflows_cpu():
            return super().call(inputs, training=training, mask=mask)
        return self._normalised(inputs)

    def _normalised(self, images: Any) -> Any:
        import tensorflow as tf

        scale = self.gamma.value if self.scale else tf.ones(images.shape[-1])
        offset = self.beta.value if self.center else tf.zeros(images.shape[-1])
        none = tf.zeros(0)
        results, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images, scale=scale, offset=offset, mean=none, variance=none, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), tf.float32)
        variance *= (count - 1) / count  # of the batch, as in Keras, not an unbiased estimate
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return results


class Bidirectional(keras.layers.Bidirectional):  # type: ignore[misc]
    """A faster bidirectional LSTM over whole sequences, without recurrent dropout; (B, T, I) to (B, T, 2 H).

    Weights, and results outside of training, are those of Keras' own layer. Keras' loop over the frames multiplies each
    frame by all kernels, and accumulates the kernels' gradients frame by frame. Here all frames are multiplied by the
    input kernel before the loop, and the gradients are single products after it: half the time, and the same numbers up
    to the last bits of float32.
    """

    def __init__(self, units: int, l2: float = 0.0) -> None:
        penalty = keras.regularizers.L2(l2) if l2 else None
        both = {"kernel_regularizer": penalty, "recurrent_regularizer": penalty}
        super().__init__(keras.layers.LSTM(units, return_sequences=True, **both))

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None) -> Any:
        is_plain = initial_state is None and mask is None and self.compute_dtype == "float32"
        if training is not True or not is_plain or not is_on_tensorflows_cpu():
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        cells = [layer.cell for layer in (self.forward_layer, self.backward_layer)]
        return _read_both_ways(sequences, *([weight.value for weight in cell.trainable_weights] for cell in cells))


def is_on_tensorflows_cpu() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _read_both_ways(sequences: Any, forward: list[Any], backward: list[Any]) -> Any:
    """(B, T, 2 H) states; each direction has kernels (I, 4 H), (H, 4 H) and bias (4 H,), gates in Keras' order."""
    import tensorflow as tf

    units = forward[1].shape[0]
    # tanh(x) = 2 sigmoid(2 x) - 1: one function for all gates.
    scale = tf.concat([tf.ones(2 * units), 2 * tf.ones(units), tf.ones(units)], 0)
    frames = tf.transpose(sequences, (1, 0, 2))  # (T, B, I)
    gates = []
    for kernel, _, bias in (forward, backward):
        flat = tf.matmul(tf.reshape(frames, (-1, frames.shape[-1])), kernel * scale) + bias * scale
        gates.append(tf.reshape(flat, (-1, tf.shape(frames)[1], 4 * units)))
    states = _states(gates[0], gates[1], forward[1] * scale, backward[1] * scale)
    return tf.transpose(tf.concat(states, -1), (1, 0, 2))


def _states(gates: Any, gates_back: Any, kernel: Any, kernel_back: Any) -> Any:
    """(T, B, H) states of both directions, from the frames' contributions to their gates (T, B, 4 H)."""
    import tensorflow as tf

    units = kernel.shape[0]

    def arrays(width: int, length: Any) -> Any:
        return tf.TensorArray(tf.float32, length, element_shape=(None, width))

    def along(condition: Any, body: Any, *values: Any) -> Any:
        rows, array = tf.TensorShape((None, units)), tf.TensorShape(None)
        shapes = (tf.TensorShape(()), rows, rows, *[array for _ in values[3:]])
        return tf.while_loop(condition, body, values, shape_invariants=shapes, parallel_iterations=1)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def states(gates: Any, gates_back: Any, kernel: Any, kernel_back: Any) -> Any:
        length, lines = tf.shape(gates)[0], tf.shape(gates)[1]
        nothing = tf.zeros((lines, units))
        zeros = tf.concat([nothing, nothing], 0)  # the rows of both directions, one after the other

        def step(t: Any, state: Any, cell: Any, all_states: Any, all_gates: Any, all_cells: Any) -> Any:
            ahead = tf.matmul(state[:lines], kernel) + gates[t]
            back = tf.matmul(state[lines:], kernel_back) + gates_back[length - 1 - t]
            opened = tf.sigmoid(tf.concat([ahead, back], 0))
            let_in, kept, new, shown = tf.split(opened, 4, -1)
            cell = kept * cell + let_in * (2 * new - 1)
            state = shown * tf.tanh(cell)
            wrote = all_states.write(t, state), all_gates.write(t, opened), all_cells.write(t + 1, cell)
            return t + 1, state, cell, *wrote

        empty = arrays(units, length), arrays(4 * units, length), arrays(units, length + 1).write(0, zeros)
        *_, all_states, all_gates, all_cells = along(
            lambda t, *_: t < length, step, tf.constant(0), zeros, zeros, *empty
        )
        found, opened, cells = all_states.stack(), all_gates.stack(), all_cells.stack()
        results = found[:, :lines], tf.reverse(found[:, lines:], [0])

        def gradients(of_states: Any, of_states_back: Any) -> Any:
            across, across_back = tf.transpose(kernel), tf.transpose(kernel_back)

            def step_back(t: Any, of_state: Any, of_cell: Any, ahead: Any, back: Any) -> Any:
                let_in, kept, new, shown = tf.split(opened[t], 4, -1)
                bent = tf.tanh(cells[t + 1])
                of_state += tf.concat([of_states[t], of_states_back[length - 1 - t]], 0)
                of_cell += tf.raw_ops.TanhGrad(y=bent, dy=of_state * shown)
                of_opened = tf.concat(
                    [of_cell * (2 * new - 1), of_cell * cells[t], 2 * of_cell * let_in, of_state * bent], -1
                )
                of_gates = tf.raw_ops.SigmoidGrad(y=opened[t], dy=of_opened)
                mine, theirs = of_gates[:lines], of_gates[lines:]
                of_state = tf.concat([tf.matmul(mine, across), tf.matmul(theirs, across_back)], 0)
                return t - 1, of_state, of_cell * kept, ahead.write(t, mine), back.write(length - 1 - t, theirs)

            empty = arrays(4 * units, length), arrays(4 * units, length)
            *_, ahead, back = along(lambda t, *_: t >= 0, step_back, length - 1, zeros, zeros, *empty)
            ahead, back = ahead.stack(), back.stack()
            before = tf.concat([nothing[None], results[0][:-1]], 0)
            before_back = tf.concat([results[1][1:], nothing[None]], 0)
            return ahead, back, _of_kernel(before, ahead), _of_kernel(before_back, back)

        return results, gradients

    return states(gates, gates_back, kernel, kernel_back)


def _of_kernel(states: Any, of_gates: Any) -> Any:
    """The gradient (H, 4 H) of a kernel that states (T, B, H) were multiplied by."""
    import tensorflow as tf

    flat = [tf.reshape(one, (-1, one.shape[-1])) for one in (states, of_gates)]
    return tf.matmul(*flat, transpose_a=True)
