"""What a target is, and what many of them use to make inputs and to read them."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer import experiment
from text_recognizer.errors import DataError, TextRecognizerError
from training.runs.environment import checkouts
from training.runs.given_spec import spec_from
from training.tests.fuzzing.mutators import Files


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Args:
        seeds: makes valid inputs.
        read: reads an input, written into a folder, as a command would.
        kept: files whose names begin so are never changed.
        mend: makes right, in a changed input, what would hide the change: hashes.
        together: inputs that are read at once, each with its own number in the name of its damaged folder.
        share: of the inputs asked for, where one takes long.
        tensorflow: `read` needs it, so workers inherit it and their address space is not limited.
    """

    name: str
    seeds: Callable[[], list[Files]]
    read: Callable[[Path], object]
    kept: str = "\0"
    mend: Callable[[Files], object] = lambda _: None
    together: int = 1
    share: float = 1.0
    tensorflow: bool = False

    def warm(self) -> None:
        """Imports what workers then inherit."""
        import h5py  # noqa: F401
        import optuna  # noqa: F401
        import requests  # noqa: F401
        import sklearn.datasets  # noqa: F401
        from PIL import Image, ImageFont  # noqa: F401

        Image.init()
        checkouts()  # it asks git, which a worker must not
        if self.tensorflow:
            os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
            import keras  # noqa: F401


class StillWaitingError(TextRecognizerError):
    """What waits for another process would wait for ever here; that is no fault of its input."""


def written(*makers: Callable[[Path], object]) -> list[Files]:
    """What functions write into a folder of their own."""
    found = []
    for make in makers:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            found.append({str(path.relative_to(folder)): path.read_bytes() for path in paths})
    return found


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def as_files(name: str, *values: Any) -> list[Files]:
    return [{name: as_json(value)} for value in values]


def as_text(name: str, *texts: str) -> list[Files]:
    return [{name: text.encode()} for text in texts]


def only(folder: Path, pattern: str = "*") -> Path:
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise DataError("the input was taken away")
    return found[0]


def prepared(kind: Callable[..., Any], name: str, folder: Path) -> None:
    dataset = kind(path=str(folder / name))
    dataset.processes = 1
    dataset.prepare()
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        if len(split):
            split.batch(np.arange(len(split)))


def assembled(spec: str | None = None, overrides: str | None = None) -> experiment.Experiment:
    return experiment.assemble(spec_from(spec, overrides, {}))
