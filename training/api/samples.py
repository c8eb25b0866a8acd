"""draw_samples from Python: of a dataset by name, or of a run with what it read."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_recognizer.datasets.base import Dataset
from text_recognizer.datasets.samples import draw_samples as draw
from text_recognizer.errors import DataError, RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.parts import make_part
from training.api.plain import plain
from training.api.run import Run

if TYPE_CHECKING:
    from PIL import Image


def draw_samples(
    source: str | Dataset | Run, dataset_args: dict[str, Any] | None = None, **options: Any
) -> "Image.Image":
    """A picture of samples with their labels, which a notebook shows as it is; `save` writes it to a file.

    Args:
        source: a dataset or the name of its class, with `dataset_args` as in a spec; or a finished run: then samples of
            the test split with what was read in them.
        options: split ("train"), count (16), seed (0), font: see `text_recognizer.datasets.samples.draw_samples`.
    Raises:
        SpecError, DataError, RunError: what is wrong with the arguments, the data or the run.

    Example:
        >>> tr.draw_samples("DigitsDataset", count=4).save("digits.png")
    """
    if isinstance(source, Run):
        dataset = assemble(source.spec).dataset
        options |= {"split": "test", "predictions": source.predictions}
        if not options["predictions"]:
            raise RunError(f"the run {source.id} has no predictions yet: it is {source.state}.")
    else:
        dataset = source if isinstance(source, Dataset) else dataset_named(source, plain(dataset_args or {}))
    return draw(dataset, **options)


def dataset_named(name: str, dataset_args: dict[str, Any]) -> Dataset:
    """A dataset with its arguments. Raises SpecError: there is no such dataset, or what is wrong with its arguments."""
    problems: list[str] = []
    dataset, _ = make_part("dataset", name, dataset_args, problems)
    if problems:
        raise SpecError(problems)
    assert isinstance(dataset, Dataset)
    return dataset


def save_picture(picture: "Image.Image", path: Path) -> None:
    """Raises DataError: it cannot be written, or not in the format that the name asks for."""
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write the picture {path}: {getattr(error, 'strerror', None) or error}.") from None
