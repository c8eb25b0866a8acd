"""TFRecords: raw pixels against an image file for each character; training on them against TensorFlow over PNG."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.characters.records import RecordsDataset
from text_recognizer.datasets.formats.gnt import write_gnt
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.writing import write_records
from training.benchmarks.figures import Figure, medians, seconds
from training.benchmarks.made_data import data_folder

ROUNDS = 3
WRITERS, CHARACTERS, SIDE = 20, 200, 64
BATCH, SHUFFLED, EPOCHS = 128, 2000, 3


def measure() -> list[Figure]:
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with data_folder() as folder:
        _write_characters(folder / "gnt")
        dataset = HwdbDataset(str(folder / "gnt"), side=SIDE)
        dataset.prepare()
        count = sum(dataset.sizes().values())
        numbers = iter(range(1000))

        def written(encoding: str) -> float:
            new = HwdbDataset(str(folder / "gnt"), side=SIDE)
            output = folder / f"records{next(numbers)}"
            took = seconds(lambda: write_records(new, output, form_named("default"), encoding, processes=1))
            return count / took

        raw, files = medians(
            ROUNDS,
            lambda: written("raw"),
            lambda: count / seconds(lambda: _write_files(dataset, folder / f"files{next(numbers)}")),
        )
        write_records(
            HwdbDataset(str(folder / "gnt"), side=SIDE), folder / "png", form_named("default"), "png", processes=1
        )
        ours = RecordsDataset(str(folder / "png"), side=SIDE)
        ours.prepare()
        shards = sorted(str(path) for path in (folder / "png").glob("train-*"))
        read, plain = medians(
            ROUNDS,
            lambda: EPOCHS * len(ours.split("train")) / seconds(lambda: _read_batches(ours)),
            lambda: EPOCHS * len(dataset.split("train")) / seconds(lambda: _read_with_tensorflow(shards)),
        )
    what = f"{count:,} characters of {SIDE} x {SIDE}"
    return [
        Figure(f"{what} written as raw records / as a PNG file each", raw, files, "images a second", ">= 5"),
        Figure("read and shuffled / tf.data over records of PNG", read, plain, "images a second", ">= 4"),
    ]


def _write_characters(folder: Path) -> None:
    """Strokes that differ from each other, as large as CASIA's characters."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for writer in range(WRITERS):
        samples = []
        for number in range(CHARACTERS):
            picture: NDArray[np.uint8] = np.full((70, 66), 255, np.uint8)
            for left, top in random.integers(2, 50, (8, 2)).tolist():
                picture[top : top + 14, left : left + 4] = random.integers(0, 120, (14, 4))
            samples.append((chr(0x4E00 + number), picture))
        write_gnt(folder / f"{1001 + writer}.gnt", samples)


def _write_files(dataset: HwdbDataset, folder: Path) -> None:
    """A PNG file for each character in a folder for its class, as RGB, as converters of the TensorFlow 1 years did."""
    from PIL import Image

    for name in SPLIT_NAMES:
        split = dataset.split(name)
        for position, label in enumerate(split.labels.tolist()):
            place = folder / name / f"{label:05d}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(split.image(position)[..., 0]).convert("RGB").save(place / f"{position}.png")


def _read_batches(dataset: RecordsDataset) -> None:
    split = dataset.split("train")
    for epoch in range(EPOCHS):
        order = np.random.default_rng(epoch).permutation(len(split))
        for begin in range(0, len(order), BATCH):
            split.batch(order[begin : begin + BATCH])


def _read_with_tensorflow(shards: list[str]) -> None:
    import tensorflow as tf

    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def parsed(example):  # type: ignore[no-untyped-def]
        found = tf.io.parse_single_example(example, features)
        return tf.io.decode_png(found["image"], channels=1), found["label"]

    records = tf.data.TFRecordDataset(shards).shuffle(SHUFFLED).repeat(EPOCHS)
    for _ in records.map(parsed, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE):
        pass
