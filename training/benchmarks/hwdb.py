"""GNT files of HWDB's real sizes: finding records, and preparing images, against the loops of older recognisers."""

import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from text_recognizer.datasets.characters.hwdb import GB2312_LEVEL_1, HwdbDataset
from text_recognizer.datasets.formats.gnt import find_records, map_file, write_gnt
from training.benchmarks.figures import Figure, medians, seconds
from training.benchmarks.made_data import data_folder

ROUNDS = 3
WRITERS = 16
RECORDS = 3739  # of one of CASIA's 240 training files, on average
HEIGHTS, WIDTHS = (40, 130), (40, 120)  # a record has 8 KB on average
FEW_RECORDS = 300  # for what reads hundreds a second


def measure() -> list[Figure]:
    with data_folder() as folder:
        files = [_write_file(folder / "gnt" / f"{1001 + writer}-c.gnt", writer) for writer in range(WRITERS)]
        ours, fromfile, bytewise = medians(
            ROUNDS,
            lambda: _images_a_second(lambda: sum(len(find_records(map_file(file))) for file in files)),
            lambda: _images_a_second(lambda: read_with_fromfile(files[0])),
            lambda: _images_a_second(lambda: read_byte_by_byte(files[0], FEW_RECORDS)),
        )
        dataset = HwdbDataset(str(folder / "gnt"), charset=list(GB2312_LEVEL_1))
        cpu = _processor_time()
        wall_s = seconds(dataset.prepare)
        a_core = WRITERS * RECORDS / (_processor_time() - cpu)
        rate = WRITERS * RECORDS / wall_s
    return [
        Figure("GNT records: found / read by np.fromfile", ours, fromfile, "images a second", ">= 15"),
        Figure("GNT records: found / read byte by byte", ours, bytewise, "images a second", ">= 1000"),
        Figure("HWDB to 64 x 64: prepared / the 13.6 of the older recogniser", rate, 13.6, "images a second", ">= 100"),
        Figure("HWDB to 64 x 64: on one core / 1.12 million a minute on two", a_core, 9333, "images a second", ">= 1"),
    ]


def read_with_fromfile(path: Path) -> int:
    """One header and one picture at a time, as tutorials do it; numbers widened before they are shifted."""
    count = 0
    with open(path, "rb") as file:
        while True:
            header = np.fromfile(file, np.uint8, 10).astype(np.int64)
            if len(header) < 10:
                return count
            width, height = header[6] + (header[7] << 8), header[8] + (header[9] << 8)
            picture = np.fromfile(file, np.uint8, int(width * height)).reshape(height, width)
            count += picture.size > 0


def read_byte_by_byte(path: Path, most: int) -> int:
    with open(path, "rb") as file:
        for _ in range(most):
            _, _, width, height = struct.unpack("<I2sHH", file.read(10))
            picture = np.zeros((height, width), np.uint8)
            for row in range(height):
                for column in range(width):
                    picture[row, column] = struct.unpack("B", file.read(1))[0]
    return most


def _write_file(path: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    paper = random.integers(0, 256, (HEIGHTS[1], WIDTHS[1]), dtype=np.uint8)
    shapes = zip(random.integers(*HEIGHTS, RECORDS), random.integers(*WIDTHS, RECORDS), strict=True)
    samples = zip(GB2312_LEVEL_1, shapes, strict=False)
    write_gnt(path, ((text, np.roll(paper, place, 1)[:h, :w]) for place, (text, (h, w)) in enumerate(samples)))
    return path


def _images_a_second(read: Callable[[], int]) -> float:
    begin = time.process_time()
    count = read()
    return count / (time.process_time() - begin)


def _processor_time() -> float:
    """Seconds of this process and of those it waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)
