"""Few digits as TFRecords, and shards of own examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.datasets.formats.tfrecord import (
    Frame,
    data_of,
    decode_example,
    encode_example,
    find_frames,
    write_record,
)
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.reading import Record, Shard, records
from text_recognizer.datasets.records.remote import remote_shards
from text_recognizer.datasets.records.writing import write_records
from text_recognizer.datasets.storage.rejected import Rejected


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    remote_shards.cache_clear()  # another test's server may have had the same address


def few_digits() -> DigitsDataset:
    return DigitsDataset(subsample_fraction=0.03)


def write_digits(folder: Path, encoding: str = "raw", form: str = "default", shard_size: int = 10, processes: int = 1):
    return write_records(few_digits(), folder, form_named(form), encoding, shard_size, processes=processes)[0]


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("[!.]*")}


def write_shard(path: Path, examples: Sequence[Mapping[str, Any]]) -> Path:
    with open(path, "wb") as file:
        for features in examples:
            write_record(file, encode_example(features))
    return path


def as_bytes(path: Path) -> np.ndarray:
    return np.frombuffer(path.read_bytes(), np.uint8)


def sound(shard: Shard) -> list[Record]:
    found = list(records(shard))
    assert not [one for one in found if isinstance(one, Rejected)]
    return [one for one in found if isinstance(one, Record)]


def first_example(path: Path) -> dict[str, Any]:
    content = as_bytes(path)
    frame = next(find_frames(content))
    assert isinstance(frame, Frame)
    return decode_example(data_of(content, frame))
