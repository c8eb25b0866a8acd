"""Small files in the exact layouts of MNIST and EMNIST, made of glyphs that tell every orientation apart."""

import gzip
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

Part = tuple[NDArray[np.uint8], NDArray[np.uint8]]

# An F has no symmetry: turned, mirrored or transposed it is another glyph.
GLYPH = np.zeros((28, 28), np.uint8)
GLYPH[4:24, 8] = GLYPH[4, 8:20] = GLYPH[12, 8:16] = 255


def part(labels: list[int] | NDArray[Any]) -> Part:
    """One F for each label, upright; the first two pixels of the last row tell the images apart."""
    images = np.repeat(GLYPH[None], len(labels), axis=0)
    images[:, 27, 0], images[:, 27, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
    return images, np.asarray(labels, np.uint8)


def idx_bytes(values: NDArray[np.uint8], compressed: bool = True) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = header + values.tobytes()
    return gzip.compress(content, 1, mtime=0) if compressed else content


def idx_files(train: Part, test: Part, beginning: str = "", test_name: str = "test") -> dict[str, bytes]:
    """The four files by name."""
    return {
        f"{beginning}{name}-{kind}-ubyte.gz": idx_bytes(values)
        for name, (images, labels) in (("train", train), (test_name, test))
        for kind, values in (("images-idx3", images), ("labels-idx1", labels))
    }


def mat_bytes(train: Part, test: Part, do_compression: bool = True) -> bytes:
    """As published: labels as a column of doubles or bytes, images as rows of 784, and fields that nobody reads."""
    file = io.BytesIO()
    dataset = {
        name: {
            "images": np.asfortranarray(images.reshape(len(images), -1)),
            "labels": labels.astype(np.float64).reshape(-1, 1),
            "writers": np.zeros((len(labels), 1), np.uint16),
        }
        for name, (images, labels) in (("train", train), ("test", test))
    }
    mapping = np.array([[0, 48]], np.uint8)
    scipy.io.savemat(file, {"dataset": {**dataset, "mapping": mapping}}, do_compression=do_compression)
    return file.getvalue()


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def transposed(images_and_labels: Part) -> Part:
    """As EMNIST stores them."""
    images, labels = images_and_labels
    return np.ascontiguousarray(images.swapaxes(1, 2)), labels
