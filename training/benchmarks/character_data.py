"""Preparation and reading of single characters, against the loops of older recognisers and TensorFlow's pipeline."""

import json
import os
import resource
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from text_recognizer.datasets.base import SPLIT_NAMES, DataSpec
from text_recognizer.datasets.characters.base import CharacterDataset
from text_recognizer.datasets.characters.hwdb import GB2312_LEVEL_1, HwdbDataset
from text_recognizer.datasets.characters.records import RecordsDataset
from text_recognizer.datasets.formats.gnt import records_of_file, write_gnt
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.writing import write_records
from training.attempts.batches import BatchOrder, GroupedBatches, GroupSize
from training.benchmarks.harness import Figure, medians, memory_mb, own_cpu_s, own_folder, python, seconds

WRITERS, ALL_WRITERS = 16, 300
RECORDS = 3739  # average per CASIA file
HEIGHTS, WIDTHS = (40, 130), (40, 120)  # a record has 8 KB on average
CHARACTERS, SIDE, BATCH, SHUFFLED, EPOCHS, MANY = 250, 64, 128, 2000, 3, 10_000_000


def hwdb() -> list[Figure]:
    """GNT files of HWDB's real sizes: finding records, against the loops of older recognisers."""
    with own_folder() as folder:
        files = write_gnt_like(folder / "gnt", WRITERS)

        def images_a_second(read: Callable[[], int]) -> float:
            begin = time.process_time()
            return read() / (time.process_time() - begin)

        ours, fromfile, bytewise = medians(
            3,
            lambda: images_a_second(lambda: sum(len(records_of_file(file)) for file in files)),
            lambda: images_a_second(lambda: sum(map(_read_with_fromfile, files))),
            lambda: images_a_second(lambda: _read_byte_by_byte(files[0], 300)),
        )
    return [
        Figure("GNT records: found / read by np.fromfile", ours, fromfile, "images a second", ">= 15"),
        Figure("GNT records: found / read byte by byte", ours, bytewise, "images a second", ">= 1000"),
    ]


def hwdb_whole() -> list[Figure]:
    """All of HWDB1.1 by its sizes, 1.12 million images, to a store of 64 x 64: takes minutes and 14 GB of disk."""
    with own_folder() as folder:
        write_gnt_like(folder / "gnt", ALL_WRITERS)
        dataset = HwdbDataset(str(folder / "gnt"), charset=list(GB2312_LEVEL_1))
        cpu_before_s = own_cpu_s()
        wall_s = seconds(dataset.prepare)
        cpu_s = own_cpu_s() - cpu_before_s
    count, rates = ALL_WRITERS * RECORDS, "images a second"
    peak_mb = (
        max(resource.getrusage(kind).ru_maxrss for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    )
    return [
        Figure("HWDB to 64 x 64: prepared / the 13.6 of the older recogniser", count / wall_s, 13.6, rates, ">= 100"),
        Figure("HWDB to 64 x 64: on one core / 1.12 million a minute on two", count / cpu_s, 9333, rates, ">= 1"),
        Figure("HWDB to 64 x 64: memory of the largest process / 1 GB", peak_mb, 1024, "MB", "<= 1"),
    ]


def _read_with_fromfile(path: Path) -> int:
    """One header and one image at a time, as in tutorials; numbers are widened before they are shifted."""
    count = 0
    with open(path, "rb") as file:
        while len(header := np.fromfile(file, np.uint8, 10).astype(np.int64)) == 10:
            size = header[0] + (header[1] << 8) + (header[2] << 16) + (header[3] << 24)
            code = header[5] + (header[4] << 8)
            width, height = header[6] + (header[7] << 8), header[8] + (header[9] << 8)
            if size != 10 + width * height:
                break
            picture = np.fromfile(file, np.uint8, int(width * height)).reshape(height, width)
            count += picture.size > 0 and code > 0
    return count


def _read_byte_by_byte(path: Path, most: int) -> int:
    """Reads records like the older recogniser for HWDB."""
    with open(path, "rb") as file:
        for _ in range(most):
            _, _, width, height = struct.unpack("<I2sHH", file.read(10))
            picture = np.zeros((height, width), np.uint8)
            for row in range(height):
                for column in range(width):
                    picture[row, column] = struct.unpack("B", file.read(1))[0]
    return most


def write_gnt_like(folder: Path, writers: int, records: int = RECORDS) -> list[Path]:
    """One file per writer, with different strokes, in records as large as CASIA's."""
    files = [folder / f"{1001 + writer}-c.gnt" for writer in range(writers)]
    for seed, file in enumerate(files):
        random = np.random.default_rng(seed)
        paper = np.full((HEIGHTS[1], WIDTHS[1]), 255, np.uint8)
        for top, left in random.integers(0, (HEIGHTS[1], WIDTHS[1]), (150, 2)).tolist():
            paper[top : top + 14, left : left + 4] = random.integers(0, 120)
        shapes = zip(random.integers(*HEIGHTS, records), random.integers(*WIDTHS, records), strict=True)
        samples = zip(GB2312_LEVEL_1, shapes, strict=False)
        write_gnt(file, ((text, np.roll(paper, place, 1)[:h, :w]) for place, (text, (h, w)) in enumerate(samples)))
    return files


def records() -> list[Figure]:
    """Raw TFRecords against a PNG file each, and reading them against TensorFlow's pipeline."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with own_folder() as folder:
        write_gnt_like(folder / "gnt", WRITERS, CHARACTERS)
        dataset = HwdbDataset(str(folder / "gnt"), side=SIDE)
        dataset.prepare()
        count = sum(dataset.sizes().values())
        numbers = iter(range(1000))

        def write(encoding: str) -> None:
            output = folder / f"{encoding}{next(numbers)}"
            new = HwdbDataset(str(folder / "gnt"), side=SIDE)
            write_records(new, output, form_named("default"), encoding, processes=1)

        raw, files = medians(
            3,
            lambda: count / seconds(partial(write, "raw")),
            lambda: count / seconds(lambda: _write_files(dataset, folder / f"files{next(numbers)}")),
        )
        write("png")
        written = next(folder.glob("png*"))
        ours = RecordsDataset(str(written), side=SIDE)
        ours.prepare()
        shards = sorted(map(str, written.glob("train-*")))
        read_count = EPOCHS * len(dataset.split("train"))
        read, plain = medians(
            3,
            lambda: read_count / seconds(lambda: _read_batches(ours)),
            lambda: read_count / seconds(lambda: _read_with_tensorflow(shards)),
        )
    what = f"{count:,} characters of {SIDE} x {SIDE}"
    return [
        Figure(f"{what} written as raw records / as a PNG file each", raw, files, "images a second", ">= 5"),
        Figure("read and shuffled / tf.data over records of PNG", read, plain, "images a second", ">= 4"),
    ]


class Unwritten(CharacterDataset):
    """Ten million characters of 64 x 64 pixels, 41 GB, in a sparse file of zeros that takes no disk space."""

    data_spec = DataSpec((SIDE, SIDE, 1), GB2312_LEVEL_1)

    def depends_on(self) -> dict[str, int]:
        return {"images": MANY}

    def read(self) -> NoReturn:
        raise NotImplementedError

    def make(self) -> None:
        """A store without its bytes."""
        folder = Path(self.store_path)
        folder.mkdir(parents=True)
        np.lib.format.open_memmap(folder / "all.images.npy", "w+", np.uint8, (MANY, SIDE, SIDE))
        np.save(folder / "all.labels.npy", np.arange(MANY, dtype=np.int32) % len(GB2312_LEVEL_1))
        arrays = {path.stem: {"size_bytes": path.stat().st_size} for path in folder.glob("*.npy")}
        (folder / "meta.json").write_text(json.dumps({"arrays": arrays, "content_hash": "unwritten"}), encoding="utf-8")
        _ = self.members  # splits are stored too


def ten_million() -> list[Figure]:
    """A store of ten million characters in a new process: its first batch, and memory from batch to batch."""
    with own_folder():
        Unwritten().make()
        code = "from training.benchmarks import character_data; character_data.read_many()"
        ((first_s, first_mb, last_mb),) = medians(3, lambda: list(map(float, python("-c", code).split())))
    return [
        Figure(f"{MANY:,} characters: first batch of 128 / a second", first_s, 1.0, "s", "<= 1"),
        Figure(f"{MANY:,} characters: memory after 100 batches / after one", last_mb, first_mb, "MB", "<= 1.1"),
    ]


def read_many() -> None:
    """Prints seconds to the first batch, and memory after it and after 100."""
    began = time.perf_counter()
    split = Unwritten().split("train")
    groups = GroupedBatches(split, BatchOrder(len(split), BATCH, seed=0)).groups(0, 100, GroupSize())
    measured = [(time.perf_counter() - began, memory_mb(os.getpid(), "Private_Dirty")) for _ in groups]
    print(*measured[0], measured[-1][1])


def _write_files(dataset: HwdbDataset, folder: Path) -> None:
    """An RGB PNG file per character in a folder per class, like converters from the TensorFlow 1 years."""
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

    shuffled = tf.data.TFRecordDataset(shards).shuffle(SHUFFLED).repeat(EPOCHS)
    for _ in shuffled.map(parsed, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE):
        pass
