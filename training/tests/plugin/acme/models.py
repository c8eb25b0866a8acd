"""Models written against the published base class alone."""

from typing import Any

import numpy as np

from text_recognizer.models import Metric, Model, Prediction
from text_recognizer.models.character import CharacterModel

PARITY = Metric("parity_accuracy", larger_is_better=True)


def even_as_even(scored):
    """Of each image: whether an even digit was read as an even one, or an odd one as an odd one; out of one."""
    right = np.argmax(scored.outputs, axis=-1) % 2 == scored.batch["label"] % 2
    return right, np.ones(len(right))


class Parity(Model):
    """Reads digits, and is measured by whether they are even or odd."""

    target = "character"

    @property
    def output_shape(self):
        return (len(self.data_spec.classes),)

    @property
    def metrics(self):
        return (PARITY,)

    def loss(self, batch, outputs, label_smoothing=0.0):
        import keras

        return keras.losses.sparse_categorical_crossentropy(batch["label"], outputs, from_logits=True)

    def counts(self, scored, readings=None):
        return {"parity_accuracy": even_as_even(scored)}

    def decode(self, outputs, widths=None):
        return [Prediction(self.data_spec.classes[label], 1.0) for label in np.argmax(outputs, axis=-1)]


class Terse(Parity):
    """Decodes to texts alone."""

    def decode(self, outputs, widths=None):
        return [one.text for one in super().decode(outputs, widths)]


class Mean(Parity):
    """A loss of the whole batch."""

    def loss(self, batch, outputs, label_smoothing=0.0):
        import keras

        return keras.ops.mean(super().loss(batch, outputs, label_smoothing))


class Silent(Parity):
    """Declares no metric, so that the loss is all there is."""

    metrics = ()

    def counts(self, scored, readings=None):
        return {}


class OneMore(CharacterModel):
    """A metric more than the class it extends, in training too."""

    @property
    def metrics(self):
        return (*super().metrics, PARITY)

    @property
    def metrics_in_training(self):
        return (*super().metrics_in_training, PARITY)

    def train_metrics(self, batch, outputs):
        import keras

        even = keras.ops.equal(keras.ops.argmax(outputs, axis=-1) % 2, keras.ops.cast(batch["label"], "int64") % 2)
        even = keras.ops.cast(even, "float32")
        whole = keras.ops.sum(keras.ops.ones_like(even))
        return {**super().train_metrics(batch, outputs), "parity_accuracy": (keras.ops.sum(even), whole)}

    def counts(self, scored, readings=None):
        return {**super().counts(scored, readings), "parity_accuracy": even_as_even(scored)}


class Forgetful(OneMore):
    """Declares a metric that it does not count."""

    counts = CharacterModel.counts


class ByName(CharacterModel):
    """Declares a metric by its name alone, as before metrics had a direction."""

    metrics: Any = ("accuracy", "iou")


class Vague(Parity):
    """Its details are nothing."""

    def details(self, scored, readings):
        return None


class Untrained(Parity):
    """Names the samples that can be trained on, instead of a flag for each."""

    def trainable(self, split):
        return np.arange(3)


class Unmeasured(Parity):
    """Its metrics are nothing."""

    metrics: Any = None
