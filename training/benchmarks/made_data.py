"""A dataset of made-up images in the layout of EMNIST, in a data folder of its own."""

import gzip
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    """Datasets keep what they convert in a folder of its own meanwhile."""
    before = os.environ.get("TEXT_RECOGNIZER_DATA")
    os.environ["TEXT_RECOGNIZER_DATA"] = str(folder / "data")
    try:
        yield
    finally:
        if before is None:
            del os.environ["TEXT_RECOGNIZER_DATA"]
        else:
            os.environ["TEXT_RECOGNIZER_DATA"] = before


def write_emnist_like(folder: Path, train: int, test: int) -> dict[str, str]:
    """Writes files and registry; the environment in which EmnistDataset reads them."""
    random = np.random.default_rng(0)
    tables = ['[emnist]\ntitle = "made up"\n']
    for part, count in (("train", train), ("test", test)):
        labels = np.arange(count, dtype=np.int64) % 62
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        images[np.arange(count), labels % 28, labels // 28] = 255
        for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            name = f"emnist-byclass-{part}-{kind}-ubyte.gz"
            content = _idx(array)
            (folder / name).write_bytes(content)
            url, digest = (folder / name).as_uri(), hashlib.sha256(content).hexdigest()
            tables.append(f'[[emnist.files]]\nurl = "{url}"\nfilename = "{name}"\nsha256 = "{digest}"\n')
    (folder / "metadata.toml").write_text("\n".join(tables), encoding="utf-8")
    return {
        "TEXT_RECOGNIZER_DATA": str(folder / "data"),
        "TEXT_RECOGNIZER_METADATA": str(folder / "metadata.toml"),
        "TEXT_RECOGNIZER_RUNS": str(folder / "runs"),
    }


def _idx(array: NDArray[np.uint8]) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=0)
