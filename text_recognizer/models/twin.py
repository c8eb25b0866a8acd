"""The ONNX twin of a bundle's network: the same logits without TensorFlow, for reading alone."""

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
    """Images (B, H, W, C) to logits (B, …), from any thread. Raises DataError: damaged, or of other shapes.

    Args:
        threads: that one call computes in; 0 takes as many as there are cores.
    """
    try:
        outputs = session_outputs(path, threads)
        height, width, channels = data_spec.input_shape
        found = outputs(np.zeros((1, height, width or 4 * height, channels), np.uint8)).shape
    except Exception as error:  # noqa: BLE001 - onnxruntime's own kinds of errors are no part of its interface
        reason = " ".join(str(error).split()).rstrip(".")  # it may have several lines
        raise DataError(f"{path} cannot be used: {reason}. Copy the bundle again, or remove the file.") from None
    if found[-1] != len(data_spec.classes):
        raise DataError(f"{path} has {found[-1]} classes, the bundle {len(data_spec.classes)}. Copy the bundle again.")
    return outputs


def session_outputs(path: Path, threads: int = 0) -> Outputs:
    """The outputs of any file that `exports.onnx` has written, unchecked."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for the next image must not keep a core busy meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A network may name another file for its weights, in the working folder: below a file there is none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path))
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run([OUTPUT], {INPUT: images})[0])
