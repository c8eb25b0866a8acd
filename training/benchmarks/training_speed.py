"""Training through run_experiment, tracking on, against Keras alone on the same images."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.benchmarks.figures import Figure, medians, python, training_speed
from training.benchmarks.made_data import write_emnist_like

ROUNDS = 3
TRAIN, TEST = 60_000, 1_000
EPOCHS = 10
BATCH_SIZE = 256

BASELINE = """
import sys
import time
import numpy as np
import keras
from text_recognizer.datasets.characters.emnist import EmnistDataset
from text_recognizer.models.character import CharacterModel
from text_recognizer.networks.{module} import {network}

dataset = EmnistDataset(mapping="fsdl")
dataset.prepare()
split = dataset.split("train")
labels = split.labels
keras.utils.set_random_seed(0)
model = CharacterModel(dataset.data_spec, {network}()).keras_model
steps = min({steps}, len(split) // {batch})
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

def bare_loop():
    model.compile("adam", loss, metrics=["accuracy"])
    model.make_train_function()
    order = np.random.default_rng(0).permutation(len(split))
    def train(first, last):
        for step in range(first, last):
            batch = split.batch(order[step * {batch}:(step + 1) * {batch}])
            model.train_function(iter([(batch["image"], batch["label"])]))
    train(0, 10)
    started = time.perf_counter()
    train(0, steps)
    return steps * {batch} / (time.perf_counter() - started)

def fit_on_floats():
    network = {network}().build((28, 28, 1), (80,))
    network.compile("adam", loss, metrics=["accuracy"])
    images = split.batch(np.arange(steps * {batch}))["image"].astype("float32") / 255
    network.fit(images[:10 * {batch}], labels[:10 * {batch}], batch_size={batch}, verbose=0)
    started = time.perf_counter()
    network.fit(images, labels[:steps * {batch}], batch_size={batch}, verbose=0)
    return steps * {batch} / (time.perf_counter() - started)
"""


def measure() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        environ = write_emnist_like(Path(folder), TRAIN, TEST)
        for network, module, steps in (("Mlp", "mlp", 10_000), ("Lenet", "lenet", 40)):
            code = BASELINE.format(network=network, module=module, steps=steps, batch=BATCH_SIZE)
            ours, bare, floats = medians(ROUNDS, *_measurements(_spec(module, steps), code, environ))
            what = f"{module}, batch {BATCH_SIZE}"
            figures.append(Figure(f"{what}: run_experiment / bare Keras loop", ours, bare, "images/s", ">= 0.97"))
            if module == "mlp":
                figures.append(Figure(f"{what}: run_experiment / fit on floats", ours, floats, "images/s", ">= 1.2"))
    return figures


def _measurements(spec: Mapping[str, Any], code: str, environ: Mapping[str, str]) -> list[Callable[[], float]]:
    """Images a second of run_experiment, of a bare loop, and of fit."""

    def baseline(which: str) -> float:
        return float(python(["-c", f"{code}print({which}())"], environ).splitlines()[-1])

    return [
        lambda: training_speed(spec, environ),
        lambda: baseline("bare_loop"),
        lambda: baseline("fit_on_floats"),
    ]


def _spec(network: str, steps: int) -> dict[str, Any]:
    steps_per_epoch = min(steps, int(TRAIN * 0.9) // BATCH_SIZE)
    return {
        "dataset": "EmnistDataset",
        "dataset_args": {"mapping": "fsdl"},
        "model": "CharacterModel",
        "network": network,
        "train_args": {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "steps_per_epoch": steps_per_epoch},
    }
