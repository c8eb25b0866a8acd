"""ModelExport: a format in which a trained model is written for another runtime."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle
from text_recognizer.wording import counted

Images = NDArray[np.uint8]
Outputs = Callable[[Images], NDArray[Any]]

LARGEST_DIFFERENCE = 1e-3  # of a logit; runtimes sum in another order


class ModelExport(ABC):
    """Constructor arguments are given after the name in `--format NAME:KEY=VALUE,…`."""

    suffix: str = ""  # of the file; "" for a folder
    quantize: str = "off"  # the kind of numbers that it quantizes to; then it is measured on the dataset

    @abstractmethod
    def write(self, model: Model, bundle: Bundle, output: Path, samples: Images) -> None:
        """Writes the network with its classes. Raises DataError: unsupported by the format, or a missing package.

        Args:
            output: a new file or folder.
            samples: (N, H, W, C) images in the form of the dataset, to calibrate value ranges.
        """

    def attempts(self, model: Model, bundle: Bundle, output: Path, samples: Images) -> Iterator[str]:
        """Writes several versions, each larger and closer to the model, and describes them."""
        self.write(model, bundle, output, samples)
        yield ""

    @abstractmethod
    def load(self, output: Path) -> Outputs:
        """Loads the export in its runtime: a function of images (B, H, W, C) to logits (B, …)."""


def noise(model: Model) -> list[Images]:
    """Noise images of several widths for comparison without samples: noise activates every part of a network."""
    height, width, channels = model.data_spec.input_shape
    random = np.random.default_rng(0)
    widths = [2 * height, 8 * height, 32 * height] if width is None else [width]
    return [random.integers(0, 256, (8, height, one, channels), np.uint8) for one in widths]


def check_same(model: Model, outputs: Outputs, images: Images, output: Path) -> float:
    """The largest difference from the original's logits. Raises DataError: larger than due to rounding."""
    expected, found = model.outputs(images), outputs(images)
    difference = float(np.abs(expected - found).max(initial=0.0)) if expected.shape == found.shape else np.inf
    if not difference <= LARGEST_DIFFERENCE:
        raise DataError(
            f"{output} does not reproduce the model: on {counted(len(images), 'image')} its logits differ by up to "
            f"{difference:g}, more than {LARGEST_DIFFERENCE:g}. Nothing was kept."
        )
    return difference


def divergence(original: NDArray[Any], found: NDArray[Any]) -> tuple[float, float]:
    """The Kullback-Leibler divergence of logits (…, classes) and the original's entropy, in nats, over all samples."""
    from scipy.special import log_softmax

    known, other = (log_softmax(logits.astype(np.float64), axis=-1) for logits in (original, found))
    return float((np.exp(known) * (known - other)).sum()), -float((np.exp(known) * known).sum())
