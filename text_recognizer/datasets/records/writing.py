"""Writes any dataset of characters or lines as records."""

import copy
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES, Dataset, Split, SplitName
from text_recognizer.datasets.formats.tfrecord import encode_example
from text_recognizer.datasets.records.folder import MadeShard, Plan, ShardTask, make_shards
from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.errors import SpecError
from text_recognizer.images.line_steps import Grey

SHARD_SIZE = 4096
JPEG_QUALITY = 95
_BATCH = 64


def write_records(
    dataset: Dataset,
    folder: Path,
    form: RecordForm,
    encoding: str | None = None,
    shard_size: int = SHARD_SIZE,
    seed: int = 1,
    processes: int | None = None,
) -> tuple[dict[str, Any], list[MadeShard]]:
    """Writes all splits, each shuffled, dark on white, with a label file and an index of counts.

    Shards of a split have the same number of examples, plus or minus one. The same dataset and arguments give the same
    bytes for any number of processes; after a kill, the same call continues.

    Args:
        dataset: a dataset that is not yet prepared.
        encoding: png, jpeg or raw; by default that of the form.
        shard_size: maximum number of examples in a shard.
        seed: seed of the order.
    Returns:
        the index, and the result for each shard.
    Raises:
        SpecError: the dataset is not of characters or lines, or the form does not support its images.
        DataError: the folder has other content, or cannot be written.
    """
    spec, encoding = dataset.data_spec, encoding or form.default_encoding
    if spec.target not in ("character", "line"):
        raise SpecError(f"dataset '{dataset.name}' shows no characters or lines; only these can be written as records.")
    if encoding == "raw" and not (form.encoding and form.height and form.width) and not form.raw_height:
        raise SpecError("raw pixels need keys for encoding, height and width, or a raw_height. Take png or jpeg.")
    if encoding == "raw" and form.raw_height and (form.size is None or form.size[1] != form.raw_height):
        raise SpecError(f"records with a raw_height need a size of that height. Received: size {form.size}.")
    if encoding != "raw":
        form = replace(form, raw_height=0)
    prepared = copy.copy(dataset)
    prepared.prepare()
    tasks = [
        ShardTask(file, split, len(positions), partial(_examples, dataset, split, positions, form, encoding))
        for split, size in prepared.sizes().items()
        for file, positions in _shards(form, split, size, shard_size, seed)
    ]
    about = {
        "dataset": dataset.name,
        "fingerprint": prepared.fingerprint,
        "target": spec.target,
        "encoding": encoding,
        "shard_size": shard_size,
        "seed": seed,
    }
    texts = spec.classes[1:] if spec.target == "line" else spec.classes
    return make_shards(folder, Plan(form, texts, about), tasks, processes)


def _shards(
    form: RecordForm, split: SplitName, size: int, shard_size: int, seed: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    order = np.random.default_rng([seed, SPLIT_NAMES.index(split)]).permutation(size)
    parts = np.array_split(order, max(1, -(-size // shard_size)))
    begin = 0
    for number, part in enumerate(parts):
        fields = {"shard": number, "shards": len(parts), "begin": begin, "end": begin + len(part)}
        yield form.files.format(split=split, **fields), part
        begin += len(part)


def _examples(
    dataset: Dataset, name: SplitName, chosen: NDArray[np.int64], form: RecordForm, encoding: str
) -> Iterator[bytes]:
    """Serialised samples; the dataset is unprepared, so that no arrays are sent to the worker process."""
    dataset.prepare()
    split, spec = dataset.split(name), dataset.data_spec
    ids, groups = split.ids, split.groups
    for begin in range(0, len(chosen), _BATCH):
        positions = chosen[begin : begin + _BATCH]
        for position, (picture, label) in zip(positions.tolist(), _shown(split, positions, spec.target), strict=True):
            features = _picture_features(np.invert(picture) if spec.ink == "light" else picture, form, encoding)
            features[form.label] = label
            features[form.text] = [split.text(position).encode()]
            features[form.name] = [(ids[position] if ids else f"{name}:{position}").encode()]
            features[form.group] = [groups[position].encode()] if groups else []
            yield encode_example({key: values for key, values in features.items() if key})


def _shown(split: Split, positions: NDArray[np.int64], target: str) -> Iterator[tuple[Grey, list[int]]]:
    """Images (H, W) and their ids; those of lines count from 0, as the blank has none."""
    batch = split.batch(positions)
    images, labels = batch["image"][..., 0], batch["label"]
    if target == "character":
        yield from zip(images, labels[:, None].tolist(), strict=True)
        return
    for image, width, label in zip(images, batch["width"].tolist(), labels, strict=True):
        yield image[:, :width], (label[label > 0] - 1).tolist()


def _picture_features(picture: Grey, form: RecordForm, encoding: str) -> dict[str, list[Any]]:
    from PIL import Image

    if form.size is not None:
        picture = np.asarray(Image.fromarray(picture).resize(form.size, Image.Resampling.BILINEAR))
    if encoding == "raw":
        content = (picture if form.raw_channels == 1 else np.repeat(picture, form.raw_channels)).tobytes()
    else:
        file, options = io.BytesIO(), {"quality": JPEG_QUALITY} if encoding == "jpeg" else {}
        Image.fromarray(picture).save(file, encoding, **options)
        content = file.getvalue()
    height, width = picture.shape
    return {
        form.image: [content],
        form.encoding: [encoding.encode()],
        form.height: [height],
        form.width: [width],
    }
