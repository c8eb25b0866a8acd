"""Training a reader of lines through run_experiment, tracking on, against a bare loop over the same batches."""

import tempfile
from pathlib import Path

from training.benchmarks.figures import Figure, medians, python, training_speed
from training.benchmarks.made_data import folders

ROUNDS = 3
TEXTS, BATCH_SIZE, EPOCHS = 200, 16, 4
DATASET_ARGS = {"num_texts": TEXTS, "height": 40, "noise": ["gaussian"], "validation_fraction": 0.02}

BARE_LOOP = """
import time
import keras
import numpy as np
import tensorflow as tf
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset
from text_recognizer.models.line_ctc import ctc_loss
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_reader import LineReader
from training.attempts.batches import BucketedOrder

tf.config.experimental.enable_op_determinism()
dataset = RenderedLinesDataset(**{dataset_args})
dataset.prepare()
split = dataset.split("train")
order = BucketedOrder(split.widths, {batch}, seed=0)
keras.utils.set_random_seed(0)
model = LineModelCtc(dataset.data_spec, LineReader())
network = model.keras_model
optimizer = keras.optimizers.Adam()
variables = network.trainable_variables
optimizer.build(variables)

def train_step(image, width, label, label_length):
    with tf.GradientTape() as tape:
        outputs = network(image, training=True)
        frames = model.network.frames(width)
        loss = tf.reduce_mean(ctc_loss(label, outputs["logits"], label_length, frames))
        loss += 0.1 * tf.reduce_mean(ctc_loss(label, outputs["shortcut"], label_length, frames))
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss

vector = tf.TensorSpec((None,), tf.int32)
train_step = tf.function(train_step, autograph=False, input_signature=[
    tf.TensorSpec((None, 40, None, 1), tf.uint8), vector, tf.TensorSpec((None, None), tf.int32), vector])

def train(epoch):
    seen = 0
    started = time.perf_counter()
    for step in range(epoch * order.batches_per_pass, (epoch + 1) * order.batches_per_pass):
        batch = model.arranged(split.batch(order.positions(step)))
        float(train_step(**batch))
        seen += len(batch["image"])
    return seen / (time.perf_counter() - started)

print(np.median([train(epoch) for epoch in range({epochs})][{epochs} // 2:]))
"""


def measure() -> list[Figure]:
    spec = {
        "dataset": "RenderedLinesDataset",
        "dataset_args": DATASET_ARGS,
        "model": "LineModelCtc",
        "network": "line_reader",
        "train_args": {"batch_size": BATCH_SIZE, "epochs": EPOCHS},
    }
    code = BARE_LOOP.format(dataset_args=DATASET_ARGS, batch=BATCH_SIZE, epochs=EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        environ = folders(Path(folder))
        ours, bare = medians(
            ROUNDS,
            lambda: training_speed(spec, environ),
            lambda: float(python(["-c", code], environ).splitlines()[-1]),
        )
    what = f"line_reader, batch {BATCH_SIZE}: step of run_experiment / of a bare loop"
    return [Figure(what, 1000 * BATCH_SIZE / ours, 1000 * BATCH_SIZE / bare, "ms a step", "<= 1.05")]
