"""The ONNX twin of a bundle's network: the same logits without TensorFlow, for reading only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError

TWIN = "model.onnx"
INPUT, OUTPUT = "image", "logits"
Outputs = Callable[[NDArray[np.uint8]], NDArray[Any]]


def twin_outputs(path: Path, data_spec: DataSpec, threads: int = 0) -> Outputs:
    """A thread-safe function of images (B, H, W, C) to logits (B, …). Raises DataError: damaged, or other shapes.

    Args:
        threads: threads of one call; 0 uses one per core.
    """
    try:
        outputs = session_outputs(path, threads)
        height, width, channels = data_spec.input_shape
        found = outputs(np.zeros((1, height, width or 4 * height, channels), np.uint8)).shape
    except Exception as error:  # noqa: BLE001 - onnxruntime's error types are not public
        reason = " ".join(str(error).split()).rstrip(".")  # it may have several lines
        raise DataError(f"{path} cannot be used: {reason}. Copy the bundle again, or remove the file.") from None
    if found[-1] != len(data_spec.classes):
        raise DataError(f"{path} has {found[-1]} classes, the bundle {len(data_spec.classes)}. Copy the bundle again.")
    return outputs


def session_outputs(path: Path, threads: int = 0) -> Outputs:
    """The outputs of a file written by `exports.onnx`, without checks."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for the next image must not spin.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A network may reference another file for its weights, relative to the working folder; below a file, none exists.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path))
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run([OUTPUT], {INPUT: images})[0])
