"""The MATLAB files of EMNIST: one struct with train and test, each with images and labels.

scipy reads them in a separate process: it crashes on some damaged files (scipy 1.17), and allocates whatever memory a
file requests.
"""

import io
import json
import math
import os
import resource
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.packed import most_unpacked_bytes
from text_recognizer.errors import DataError

_PARTS, _KINDS = ("train", "test"), ("images", "labels")
_SLACK_BYTES = 1 << 28  # memory of the reader besides the content of a file


def read_emnist_mat(content: bytes, name: str) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The parts "train" and "test": images (N, H, W), labels (N,). Raises DataError: damaged, or another layout.

    Images are stored column by column, so rows and columns are swapped here, as in the idx files of EMNIST.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, input=content, capture_output=True, check=False, env=environment)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2].rstrip(".")
        reason = said if done.returncode > 0 else "the reader crashes on it"
        raise DataError(f"{name} is not a MATLAB file of EMNIST of version 5 to 7: {reason}. Fetch it again.")
    at = done.stdout.index(b"\n") + 1
    arrays = []
    for shape in json.loads(done.stdout[:at]):
        arrays.append(np.frombuffer(done.stdout, np.uint8, math.prod(shape), at).reshape(shape))
        at += arrays[-1].size
    return dict(zip(_PARTS, zip(arrays[::2], arrays[1::2], strict=True), strict=True))


def _main() -> None:
    """Standard input to standard output: the shapes as JSON, then the bytes of all arrays."""
    import scipy.io

    content = sys.stdin.buffer.read()
    with open("/proc/self/statm", encoding="ascii") as file:
        taken_bytes = int(file.read().split()[0]) * resource.getpagesize()
    most_bytes = taken_bytes + _SLACK_BYTES + 3 * most_unpacked_bytes(len(content))  # read, whole, as bytes
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        dataset = scipy.io.loadmat(io.BytesIO(content), variable_names=["dataset"]).get("dataset")
        arrays = [array for part in _PARTS for array in _read_part(dataset, part)]
    except Exception as error:  # noqa: BLE001 - scipy raises errors of a dozen kinds for unexpected content
        sys.exit(str(error).partition("\n")[0] or type(error).__name__)
    sys.stdout.buffer.write(json.dumps([array.shape for array in arrays]).encode() + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(np.ascontiguousarray(array).data)


def _read_part(dataset: Any, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images, labels = (_bytes_in(dataset, part, kind) for kind in _KINDS)
    side = math.isqrt(images.shape[1])
    if side * side != images.shape[1] or not images.size:
        raise ValueError(f"its {images.shape[0]:,} {part} images of {images.shape[1]:,} pixels each are not square")
    if labels.size != len(images):
        raise ValueError(f"it has {len(images):,} {part} images but {labels.size:,} labels")
    return images.reshape(-1, side, side), labels.reshape(-1)


def _bytes_in(value: Any, *fields: str) -> NDArray[np.uint8]:
    place = ".".join(("dataset", *fields))
    for field in fields:
        names = getattr(value, "dtype", np.dtype(object)).names or ()
        value = value[field].item() if field in names and value.size == 1 else None
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "iuf":
        raise ValueError(f"it has no matrix {place}")
    with np.errstate(invalid="ignore"):
        as_bytes = value.astype(np.uint8)
    if not np.array_equal(value, as_bytes):
        raise ValueError(f"{place} must be whole numbers from 0 to 255")
    return as_bytes


if __name__ == "__main__":
    _main()
