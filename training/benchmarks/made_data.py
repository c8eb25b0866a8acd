"""A dataset of made-up images in the layout of EMNIST, in a separate data folder."""

import gzip
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray


@contextmanager
def data_folder() -> Iterator[Path]:
    """A temporary folder, below which datasets keep what they convert meanwhile."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, TEXT_RECOGNIZER_DATA=f"{folder}/data"):
        yield Path(folder)


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
    return {**folders(folder), "TEXT_RECOGNIZER_METADATA": str(folder / "metadata.toml")}


def folders(folder: Path) -> dict[str, str]:
    """The environment in which data and runs are kept below a folder."""
    return {"TEXT_RECOGNIZER_DATA": str(folder / "data"), "TEXT_RECOGNIZER_RUNS": str(folder / "runs")}


def _idx(array: NDArray[np.uint8]) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=0)
