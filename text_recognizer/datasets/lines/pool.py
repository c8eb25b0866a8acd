"""All lines of a dataset in one store: concatenated images of different widths, with texts, names and groups."""

from collections.abc import Iterable, Iterator
from copy import copy
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import tidy_text
from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.storage.parallel import in_processes, progress
from text_recognizer.datasets.storage.rejected import Rejected, packed_rejected, summary_of_all, unpacked_rejected
from text_recognizer.datasets.storage.store import Store, StoreWriter
from text_recognizer.datasets.storage.strings import packed, storable, unpacked
from text_recognizer.errors import DataError, reason
from text_recognizer.images.line_form import LineForm, UnfitImageError
from text_recognizer.images.line_steps import Grey

LINES_A_TASK = 64
FEW_LINES = 400  # below, starting processes costs more than they save


def fill_pool(
    writer: StoreWriter, label: str, sources: Iterable[LineSource], form: LineForm, processes: int | None = None
) -> None:
    """Converts and writes all lines, the same for any number of processes. Raises DataError: no line is left."""
    tasks = list(_tasks(sources))
    total = sum(len(source.samples) for task in tasks for source in task)
    lines: dict[str, tuple[LineSample, int, int]] = {}  # by name: with width and hash
    rejected: list[Rejected] = []
    convert = partial(_convert, form=form)
    with writer.grow("pixels", "uint8") as append, progress(label, total, "line") as done:
        for converted, failed in in_processes(convert, tasks, 1 if total < FEW_LINES else processes):
            for sample, picture, digest in converted:
                if sample.name in lines:
                    rejected.append(Rejected(sample.name, "another line before it has the same name", sample.text))
                    continue
                append(picture)
                lines[sample.name] = (sample, picture.shape[1], digest)
            rejected += failed
            done(len(converted) + len(failed))
    if not lines:
        problem = f"none of its lines can be used. {summary_of_all(rejected)}" if total else "it has no lines."
        raise DataError(f"{label}: {problem}")
    samples, widths, hashes = zip(*lines.values(), strict=True)
    splits = ("", *SPLIT_NAMES)
    arrays: dict[str, NDArray[Any]] = {
        "widths": np.array(widths, np.int32),
        "hashes": np.array(hashes, np.uint64),
        "splits": np.array([splits.index(sample.split) - 1 for sample in samples], np.int8),
        **packed("names", (storable(sample.name) for sample in samples)),
        **packed("texts", (sample.text for sample in samples)),
        **packed("groups", (storable(sample.group) for sample in samples)),
        **packed_rejected(rejected),
    }
    for name, array in arrays.items():
        writer.add(name, array)


class LinePool:
    """The lines of a store, all of one height in pixels."""

    def __init__(self, store: Store, height: int) -> None:
        self.store = store
        self.height = height
        arrays = store.arrays()
        self.pixels: NDArray[np.uint8] = arrays["pixels"]
        self.widths: NDArray[np.int32] = arrays["widths"]
        self.hashes: NDArray[np.uint64] = arrays["hashes"]
        self.splits: NDArray[np.int8] = arrays["splits"]
        self.names = unpacked("names", arrays)
        self.texts = unpacked("texts", arrays)
        self.groups = unpacked("groups", arrays)
        self.rejected = unpacked_rejected(arrays)

    def __len__(self) -> int:
        return len(self.widths)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(N,) start of each line's image in `pixels`."""
        ends = np.cumsum(self.widths, dtype=np.int64) * self.height
        return np.concatenate([[0], ends[:-1]]).astype(np.int64)

    def picture(self, row: int) -> Grey:
        """(height, width) of one line."""
        start, width = self.starts[row], self.widths[row]
        return self.pixels[start : start + self.height * width].reshape(self.height, width)


def _tasks(sources: Iterable[LineSource]) -> Iterator[list[LineSource]]:
    task: list[LineSource] = []
    for source in sources:
        task.append(source)
        if sum(len(one.samples) for one in task) >= LINES_A_TASK:
            yield task
            task = []
    if task:
        yield task


def _convert(sources: list[LineSource], form: LineForm) -> tuple[list[tuple[LineSample, Grey, int]], list[Rejected]]:
    """Lines with their images and image hashes, and the lines without an image. Runs in another process."""
    converted: list[tuple[LineSample, Grey, int]] = []
    rejected: list[Rejected] = []
    for source in map(copy, sources):  # whatever a source caches while it is read is freed with the copy
        for position, sample in enumerate(source.samples):
            try:
                picture = _picture(source, position, sample, form)
            except (DataError, UnfitImageError) as error:
                text = "" if sample.problem else storable(sample.text)
                rejected.append(Rejected(storable(sample.name), reason(error), text, sample.noun))
            else:
                converted.append((sample, picture, picture_hash(picture)))
    return converted, rejected


def picture_hash(picture: Grey) -> int:
    """The hash of a finished image, as in stores."""
    return int.from_bytes(blake2b(np.ascontiguousarray(picture).data, digest_size=8).digest(), "little")


def text_problem(sample: LineSample) -> str:
    """Why a line cannot be used because of its text; "" if it can."""
    if sample.problem:
        return sample.problem
    if not tidy_text(sample.text):
        return "its label is empty"
    if storable(sample.text) != sample.text:
        return "its label is no valid Unicode: it holds half of a surrogate pair"
    return ""


def _picture(source: LineSource, position: int, sample: LineSample, form: LineForm) -> Grey:
    if problem := text_problem(sample):
        raise UnfitImageError(problem)
    picture = source.read(position)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 2:
        came = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise DataError(f"its image is not a uint8 array (H, W): read() of {type(source).__name__} returned {came}")
    return np.ascontiguousarray(form.fitted(picture) if source.is_finished else form.apply(picture))
