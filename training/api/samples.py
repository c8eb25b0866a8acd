"""draw_samples from Python: of a dataset by name, or of a run with its readings."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_recognizer.datasets.base import Dataset, SplitName
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.samples import draw_samples as draw
from text_recognizer.errors import DataError, RunError, SpecError, reason
from text_recognizer.experiment import assemble
from text_recognizer.parts import make_part
from text_recognizer.wording import received
from training.api.edited import read_edited_again
from training.api.plain import plain
from training.api.run import Run
from training.api.typed import typed
from training.runs.environment import users_modules
from training.runs.find import with_charset_found

if TYPE_CHECKING:
    from PIL import Image


@typed
def draw_samples(
    source: str | type[Dataset] | Dataset | Run,
    dataset_args: Mapping[str, Any] | None = None,
    *,
    split: SplitName = "train",
    count: int = 16,
    seed: int = 0,
    font: str | Path = DEFAULT_FONT,
) -> "Image.Image":
    """An image of samples with their labels, which a notebook displays; `save` writes it to a file.

    Args:
        source: a dataset, or its class or name with `dataset_args` as in a spec; or a finished run: then samples of the
            test split with their readings.
        split, count, seed, font: see `text_recognizer.datasets.samples.draw_samples`.
    Raises:
        SpecError, DataError, RunError: a problem with the arguments, the data or the run.

    Example:
        >>> tr.draw_samples("DigitsDataset", count=4).save("digits.png")
    """
    if isinstance(source, Run):
        read_edited_again(users_modules([source.spec]))
        dataset, split = assemble(source.spec, has_begun=True).dataset, "test"
        if not (predictions := source.predictions):
            raise RunError(f"the run {source.id} has no predictions yet: its state is {source.state}.")
    else:
        if not isinstance(source, Dataset):
            name = plain(source)
            read_edited_again([name.partition(":")[0]])
            source = dataset_named(name, plain(dataset_args or {}))
        dataset, predictions = source, []
    return draw(dataset, split, count, seed, str(font), predictions)


def dataset_named(name: str, dataset_args: dict[str, Any]) -> Dataset:
    """A dataset with its arguments. Raises SpecError: there is no such dataset, or the arguments are invalid."""
    problems: list[str] = []
    dataset, _ = make_part("dataset", name, with_charset_found(name, dataset_args), problems)
    if problems:
        raise SpecError(problems)
    assert isinstance(dataset, Dataset)
    return dataset


def picture_file(text: str) -> Path:
    """A command-line argument as the path of an image. Raises ArgumentTypeError: the name is not one of an image."""
    from PIL import Image

    path = Path(text)
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise argparse.ArgumentTypeError(f"an image file is expected, like samples.png. {received(text)}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def save_picture(picture: "Image.Image", path: Path) -> None:
    """Writes an image. Raises DataError: it cannot be written, or not in this format."""
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write the image {path}: {reason(error, path)}.") from None
