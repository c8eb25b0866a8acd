"""Training through run_experiment, tracking on, against Keras alone on the same images."""

import json
import os
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.characters.base import CharacterDataset
from text_recognizer.datasets.characters.hwdb import GB2312_LEVEL_1
from training.benchmarks.character_data import write_gnt_like
from training.benchmarks.harness import Figure, last_number, medians, own_folder, python

TRAIN, EPOCHS, BATCH_SIZE = 60_000, 10, 256
LINE_BATCH_SIZE, LINE_EPOCHS = 16, 4
HANZI_WRITERS, HANZI_RECORDS, HANZI_EPOCHS = 10, 32, 3  # 224 images for training
LINES_ARGS = {"num_texts": 200, "height": 40, "noise": ["gaussian"], "validation_fraction": 0.02}

KERAS_ALONE = """
import json
import sys
import time
import numpy as np
import keras
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec

experiment = assemble(ExperimentSpec.parse(json.loads(sys.argv[1])))
batch, steps = experiment.train_args.batch_size, experiment.train_args.steps_per_epoch
experiment.dataset.prepare()
split = experiment.dataset.split("train")
keras.utils.set_random_seed(0)
model = experiment.model.keras_model
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
if isinstance(model.output, dict):
    names = list(model.output)
    model.compile("adam", {name: loss for name in names}, {name: 0.4 if name == "auxiliary" else 1 for name in names})
else:
    names = []
    model.compile("adam", loss, metrics=["accuracy"])
model.make_train_function()
order = np.random.default_rng(0).permutation(len(split))

def train(steps):
    for step in range(steps):
        columns = split.batch(order[step * batch:(step + 1) * batch])
        label = {name: columns["label"] for name in names} or columns["label"]
        model.train_function(iter([(columns["image"], label)]))

train(min(10, steps))
started = time.perf_counter()
train(steps)
print(steps * batch / (time.perf_counter() - started))
"""
BARE_LINE_LOOP = """
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


class MadeCharacters(CharacterDataset):
    """As many images and classes, of the same size, as EMNIST has for FSDL's recogniser."""

    data_spec = DataSpec((28, 28, 1), tuple(map(chr, range(33, 113))))

    def depends_on(self) -> dict[str, int]:
        return {"images": TRAIN}

    def read(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[Any]]]:
        random = np.random.default_rng(0)
        labels = np.arange(TRAIN) % len(self.data_spec.classes)
        images = random.integers(0, 256, (TRAIN, 28, 28), dtype=np.uint8)
        images[np.arange(TRAIN), labels % 28, labels // 28] = 255
        return {"train": (images, labels), "test": (images[:1000], labels[:1000])}


def training_speed() -> list[Figure]:
    """Steps a second, against a bare Keras loop."""
    figures = []
    with own_folder():
        for network, steps in (("mlp", int(TRAIN * 0.9) // BATCH_SIZE), ("lenet", 40)):
            parts = {"dataset": f"{__name__}:MadeCharacters", "model": "CharacterModel", "network": network}
            train_args = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "steps_per_epoch": steps}
            spec = json.dumps({**parts, "train_args": train_args})
            ours, bare = medians(3, partial(_images_a_second, spec), partial(last_number, KERAS_ALONE, spec))
            what = f"{network}, batch {BATCH_SIZE}: run_experiment / bare Keras loop"
            figures.append(Figure(what, ours, bare, "images/s", ">= 0.97"))
    return figures


def hanzi_training_speed() -> list[Figure]:
    """Networks for 3,755 classes: inception against a bare Keras loop, and hanzi_net against inception."""
    with own_folder() as folder:
        write_gnt_like(folder / "gnt", HANZI_WRITERS, HANZI_RECORDS)

        def spec(network: str, side: int, batch: int, steps: int) -> str:
            dataset_args = {"path": str(folder / "gnt"), "charset": list(GB2312_LEVEL_1), "side": side}
            train_args = {"batch_size": batch, "epochs": HANZI_EPOCHS, "steps_per_epoch": steps}
            parts = {"dataset": "HwdbDataset", "model": "CharacterModel", "network": network}
            return json.dumps({**parts, "dataset_args": dataset_args, "train_args": train_args})

        inception, hanzi = spec("inception", 74, 8, 4), spec("hanzi_net", 64, 32, 28)
        ours, bare = _images_a_second(inception), last_number(KERAS_ALONE, inception)
        small = _images_a_second(hanzi)
    return [
        Figure("inception, 74 px: run_experiment / bare Keras loop", ours, bare, "images/s", ">= 0.97"),
        Figure("run_experiment: hanzi_net, 64 px / inception, 74 px", small, ours, "images/s", ">= 20"),
    ]


def line_training_speed() -> list[Figure]:
    """Training a reader of lines, against a bare loop over the same batches."""
    parts = {"dataset": "RenderedLinesDataset", "model": "LineModelCtc", "network": "line_reader"}
    train_args = {"batch_size": LINE_BATCH_SIZE, "epochs": LINE_EPOCHS}
    spec = json.dumps({**parts, "dataset_args": LINES_ARGS, "train_args": train_args})
    code = BARE_LINE_LOOP.format(dataset_args=LINES_ARGS, batch=LINE_BATCH_SIZE, epochs=LINE_EPOCHS)
    with own_folder():
        ours, bare = medians(3, lambda: _images_a_second(spec), lambda: last_number(code))
    what = f"line_reader, batch {LINE_BATCH_SIZE}: step of run_experiment / of a bare loop"
    batch_ms = 1000 * LINE_BATCH_SIZE
    return [Figure(what, batch_ms / ours, batch_ms / bare, "ms a step", "<= 1.05")]


def _images_a_second(spec: str) -> float:
    """Of the later epochs of run_experiment, once everything is compiled and started."""
    python("-m", "training.run_experiment", spec, "--gpu=none", "--wandb=offline")
    newest = max(Path(os.environ["TEXT_RECOGNIZER_RUNS"]).glob("default/*/metrics.jsonl"))
    rows = [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]
    speeds = [row["images_per_s"] for row in rows if "images_per_s" in row]
    return float(statistics.median(speeds[len(speeds) // 2 :]))
