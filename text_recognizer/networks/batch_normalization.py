"""Keras' batch normalisation, computed faster where it is trained on a CPU. Importing this module imports Keras."""

from typing import Any

import keras

from text_recognizer.networks.bidirectional import is_on_tensorflows_cpu

_VECTOR = 4  # channels; for other multiples TensorFlow's kernel is no faster than Keras


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation of images (B, H, W, C), and of everything else as Keras does it.

    Weights, and results outside of training, are those of Keras' own layer. Keras computes moments, scaled values and
    their gradients by operations of their own, each of which reads and writes the whole batch; TensorFlow has one
    kernel for each way, which takes about a third of the time. The numbers are the same but for the last bits of
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
        variance *= (count - 1) / count  # of the batch, as Keras averages it, not an estimate for all images
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return results
