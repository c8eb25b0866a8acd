"""Training through run_experiment, tracking on, against a bare loop that trains the same network on the same images."""

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

BARE_LOOP = """
import json
import sys
import time
import keras
import numpy as np
import tensorflow as tf
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.attempts.batches import BatchOrder, BucketedOrder

tf.config.experimental.enable_op_determinism()
experiment = assemble(ExperimentSpec.parse(json.loads(sys.argv[1])))
model, args = experiment.model, experiment.train_args
experiment.dataset.prepare()
split = experiment.dataset.split("train")
order = BatchOrder(len(split), args.batch_size, 0)
if split.widths is not None:
    order = BucketedOrder(split.widths, args.batch_size, 0)
steps = args.steps_per_epoch or order.batches_per_pass
keras.utils.set_random_seed(0)
network, optimizer = model.keras_model, keras.optimizers.Adam()
variables = network.trainable_variables
optimizer.build(variables)

def train_step(batch):
    with tf.GradientTape() as tape:
        outputs = network(batch["image"], training=True)
        losses = [model.loss(batch, outputs), model.auxiliary_loss(batch, outputs)]
        loss = sum(tf.reduce_mean(one) for one in losses if one is not None)
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss

def batch_of(step):
    return model.arranged(split.batch(order.positions(step)))

first = batch_of(0)
shapes = model.column_shapes(first)
signature = {name: tf.TensorSpec((None, *shapes[name]), first[name].dtype) for name in first}
train_step = tf.function(train_step, autograph=False, input_signature=[signature])

def train(epoch):
    started, samples = time.perf_counter(), 0
    for step in range(epoch * steps, (epoch + 1) * steps):
        batch = batch_of(step)
        float(train_step(batch))
        samples += len(batch["image"])
    return samples / (time.perf_counter() - started)

print(np.median([train(epoch) for epoch in range(3)][1:]))
"""


class MadeCharacters(CharacterDataset):
    """As many images and classes, of the same size, as in EMNIST for FSDL's recogniser."""

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
    """Steps per second, against a bare Keras loop."""
    figures = []
    with own_folder():
        for network, steps in (("mlp", int(TRAIN * 0.9) // BATCH_SIZE), ("lenet", 40)):
            parts = {"dataset": f"{__name__}:MadeCharacters", "model": "CharacterModel", "network": network}
            train_args = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "steps_per_epoch": steps}
            spec = json.dumps({**parts, "train_args": train_args})
            ours, bare = medians(3, partial(_images_a_second, spec), partial(last_number, BARE_LOOP, spec))
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
        ours, bare = _images_a_second(inception), last_number(BARE_LOOP, inception)
        small = _images_a_second(hanzi)
    return [
        Figure("inception, 74 px: run_experiment / bare Keras loop", ours, bare, "images/s", ">= 0.97"),
        Figure("run_experiment: hanzi_net, 64 px / inception, 74 px", small, ours, "images/s", ">= 20"),
    ]


def line_training_speed() -> list[Figure]:
    """Training of a line reader, against a bare loop over the same batches."""
    parts = {"dataset": "RenderedLinesDataset", "model": "LineModelCtc", "network": "line_reader"}
    train_args = {"batch_size": LINE_BATCH_SIZE, "epochs": LINE_EPOCHS}
    spec = json.dumps({**parts, "dataset_args": LINES_ARGS, "train_args": train_args})
    with own_folder():
        ours, bare = medians(3, partial(_images_a_second, spec), partial(last_number, BARE_LOOP, spec))
    what = f"line_reader, batch {LINE_BATCH_SIZE}: step of run_experiment / of a bare loop"
    batch_ms = 1000 * LINE_BATCH_SIZE
    return [Figure(what, batch_ms / ours, batch_ms / bare, "ms a step", "<= 1.05")]


def _images_a_second(spec: str) -> float:
    """The median speed of the later epochs of run_experiment, once everything is compiled and started."""
    python("-m", "training.run_experiment", spec, "--gpu=none", "--wandb=offline")
    newest = max(Path(os.environ["TEXT_RECOGNIZER_RUNS"]).glob("default/*/metrics.jsonl"))
    rows = [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]
    speeds = [row["images_per_s"] for row in rows if "images_per_s" in row]
    return float(statistics.median(speeds[len(speeds) // 2 :]))
